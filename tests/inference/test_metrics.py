from __future__ import annotations

import copy
import json
from pathlib import Path

import numpy as np
import pytest
from cityscapesscripts.evaluation import evalPixelLevelSemanticLabeling as official
from PIL import Image

from asap_tf.core.labels import IGNORE_LABEL, LabelClass, LabelTable, relate
from asap_tf.data.cityscapes import CLASSES, LABEL_ID_ENCODING
from asap_tf.inference.metrics import (
    Scores,
    confusion_matrix,
    in_classes_of_data,
)

LABEL_IDS = np.array([c.label_id for c in CLASSES], np.uint8)
TOLERANCE = 1e-6


def scene(rng: np.random.Generator, ids: list[int], size: tuple[int, int]) -> np.ndarray:
    """Blocks of random label ids, so that regions and single pixels both occur."""
    blocks = rng.choice(ids, (size[0] // 8, size[1] // 8)).astype(np.uint8)
    return np.kron(blocks, np.ones((8, 8), np.uint8))


def spoil(rng: np.random.Generator, labels: np.ndarray, ids: list[int], share: float) -> np.ndarray:
    return np.where(rng.random(labels.shape) < share, rng.choice(ids, labels.shape), labels).astype(
        np.uint8
    )


def official_scores(folder: Path, scenes: list[tuple[np.ndarray, np.ndarray]]) -> dict:
    """What the official script says of (truth, prediction) label ids saved as PNGs."""
    args = copy.copy(official.args)
    args.evalInstLevelScore = args.JSONOutput = False
    args.quiet = True
    truths, predictions = [], []
    for i, (truth, prediction) in enumerate(scenes):
        truths.append(str(folder / f"berlin_{i:06d}_000019_gtFine_labelIds.png"))
        predictions.append(str(folder / f"berlin_{i:06d}_000019_pred.png"))
        Image.fromarray(truth).save(truths[-1])
        Image.fromarray(prediction).save(predictions[-1])
    return official.evaluateImgLists(predictions, truths, args)


def our_scores(scenes: list[tuple[np.ndarray, np.ndarray]]) -> Scores:
    train_ids = np.zeros(256, np.uint8)
    train_ids[LABEL_IDS] = np.arange(len(CLASSES))
    total = sum(
        confusion_matrix(LABEL_ID_ENCODING.decode(truth), train_ids[prediction], len(CLASSES))
        for truth, prediction in scenes
    )
    return Scores.from_confusion(total, CLASSES)


EVERY = LABEL_IDS.tolist()
VOID = sorted(set(range(34)) - set(EVERY))


@pytest.mark.parametrize(
    ("in_truth", "in_prediction"),
    [
        pytest.param(EVERY + VOID, EVERY, id="everything"),
        pytest.param([7, 8, 26, *VOID], [7, 8, 26], id="most-classes-in-neither"),
        pytest.param([7, 11, 23, 26, *VOID], EVERY, id="predicted-but-absent-from-truth"),
        pytest.param(EVERY + VOID, [7, 26], id="in-truth-but-never-predicted"),
        pytest.param([7, 9, 10, 8], [7, 8, 11], id="ignored-labels-of-a-scored-category"),
        pytest.param([27, 28], [26, 33], id="right-by-category-only"),
    ],
)
@pytest.mark.parametrize("share", [0.05, 0.6])
def test_scores_equal_the_official_script(tmp_path, in_truth, in_prediction, share):
    rng = np.random.default_rng(len(in_truth) * 100 + len(in_prediction))
    scenes = []
    for size in [(64, 128), (96, 64), (64, 64)]:
        truth = scene(rng, in_truth, size)
        fallback = rng.choice(in_prediction, truth.shape)
        clean = np.where(np.isin(truth, in_prediction), truth, fallback)
        scenes.append((truth, spoil(rng, clean, in_prediction, share)))
    theirs, ours = official_scores(tmp_path, scenes), our_scores(scenes)

    their_iou = [theirs["classScores"][c.name] for c in CLASSES]
    np.testing.assert_allclose(ours.iou, their_iou, rtol=0, atol=TOLERANCE)
    their_categories = {k: v for k, v in theirs["categoryScores"].items() if k != "void"}
    assert ours.category_iou.keys() == their_categories.keys()
    np.testing.assert_allclose(
        list(ours.category_iou.values()),
        [their_categories[name] for name in ours.category_iou],
        rtol=0,
        atol=TOLERANCE,
    )
    assert ours.miou == pytest.approx(theirs["averageScoreClasses"], abs=TOLERANCE)
    assert ours.category_miou == pytest.approx(theirs["averageScoreCategories"], abs=TOLERANCE)


def test_classes_absent_from_the_truth():
    truth = np.array([[0, 0, 0, 255]], np.uint8)
    prediction = np.array([[0, 0, 1, 2]], np.uint8)
    scores = Scores.from_confusion(confusion_matrix(truth, prediction, 19), CLASSES)
    assert scores.iou[1] == 0, "predicted on a labeled pixel, though nowhere in the truth"
    assert np.isnan(scores.iou[2]), "predicted on ignored pixels only: as good as never"
    assert scores.miou == pytest.approx((2 / 3 + 0) / 2)
    assert np.isnan(scores.accuracy[1])
    assert scores.pixel_accuracy == pytest.approx(2 / 3)
    counted, left = scores.table().splitlines()[-2:]
    assert counted == "in no mask, counted as 0, since it is predicted: sidewalk"
    assert left.startswith("in no mask, not counted: building, wall, ")
    assert scores.category_iou["flat"] == 1, "road taken for sidewalk is right by category"


def naive_confusion(truth: np.ndarray, prediction: np.ndarray, num_classes: int) -> np.ndarray:
    matrix = np.zeros((num_classes, num_classes), np.int64)
    for t, p in zip(truth.ravel().tolist(), prediction.ravel().tolist(), strict=True):
        if t != IGNORE_LABEL:
            matrix[t, p] += 1
    return matrix


@pytest.mark.parametrize("num_classes", [1, 2, 19, 255])
def test_confusion_matrix_against_a_loop(num_classes):
    rng = np.random.default_rng(num_classes)
    truth = rng.choice([*range(num_classes), 255], (3, 17, 29)).astype(np.uint8)
    prediction = rng.integers(0, num_classes, truth.shape, dtype=np.uint8)
    matrix = confusion_matrix(truth, prediction, num_classes)
    assert matrix.dtype == np.int64
    np.testing.assert_array_equal(matrix, naive_confusion(truth, prediction, num_classes))


def test_matrices_add_up():
    rng = np.random.default_rng(0)
    truth = rng.choice([*range(19), 255], (5, 20, 30)).astype(np.uint8)
    prediction = rng.integers(0, 19, truth.shape, dtype=np.uint8)
    parts = [confusion_matrix(t, p, 19) for t, p in zip(truth, prediction, strict=True)]
    np.testing.assert_array_equal(sum(parts), confusion_matrix(truth, prediction, 19))


def test_what_is_predicted_on_ignored_pixels_does_not_matter():
    truth = np.array([0, 255, 255], np.uint8)
    prediction = np.array([0, 7, 255], np.uint8)
    np.testing.assert_array_equal(confusion_matrix(truth, prediction, 2), [[1, 0], [0, 0]])


@pytest.mark.parametrize(
    ("truth", "prediction", "num_classes", "message"),
    [
        (np.zeros((2, 3), np.uint8), np.zeros((3, 2), np.uint8), 2, r"\(2, 3\).*\(3, 2\)"),
        (np.zeros(3, np.int64), np.zeros(3, np.uint8), 2, "int64"),
        (np.zeros(3, np.uint8), np.zeros(3, np.float32), 2, "float32"),
        (np.array([0, 9], np.uint8), np.zeros(2, np.uint8), 2, r"truth holds ids \[9\]"),
        (np.zeros(2, np.uint8), np.array([0, 255], np.uint8), 2, r"prediction holds ids \[255\]"),
        (np.zeros(2, np.uint8), np.zeros(2, np.uint8), 256, "num_classes=256"),
    ],
)
def test_confusion_matrix_refuses(truth, prediction, num_classes, message):
    with pytest.raises(ValueError, match=message):
        confusion_matrix(truth, prediction, num_classes)


def test_scores_of_nothing_are_undefined(recwarn):
    scores = Scores.from_confusion(np.zeros((19, 19), np.int64), CLASSES)
    assert np.isnan([scores.miou, scores.category_miou, scores.pixel_accuracy]).all()
    assert not recwarn.list


def test_from_confusion_refuses_another_number_of_classes():
    with pytest.raises(ValueError, match=r"\(3, 3\) for 19 classes"):
        Scores.from_confusion(np.zeros((3, 3), np.int64), CLASSES)


def two_class_scores() -> Scores:
    classes = [
        LabelClass(name, (0, 0, 0), category, 0)
        for name, category in [("road", "flat"), ("car", "vehicle"), ("bus", "vehicle")]
    ]
    return Scores.from_confusion(np.array([[3, 1, 0], [0, 4, 0], [0, 0, 0]]), classes)


def test_to_dict_is_json_with_null_for_undefined():
    back = json.loads(json.dumps(two_class_scores().to_dict(), allow_nan=False))
    assert back["iou"] == {"road": 0.75, "car": 0.8, "bus": None}
    assert back["accuracy"] == {"road": 0.75, "car": 1.0, "bus": None}
    assert back["category_iou"] == {"flat": 0.75, "vehicle": 0.8}
    assert back["miou"] == back["category_miou"] == pytest.approx(0.775)
    assert back["pixel_accuracy"] == 0.875


def test_table_is_in_percent_and_aligned():
    lines = two_class_scores().table().splitlines()
    assert "road             75.00       75.00" in lines
    assert "bus                  -           -" in lines
    assert "mIoU             77.50" in lines
    assert "pixel accuracy               87.50" in lines


def scores_by_pixel(truth, prediction, groups, count):
    """IoU of each class and share of right pixels, pixel by pixel; nan for classes left out."""
    right, true, found, counted = np.zeros(count), np.zeros(count), np.zeros(count), 0
    for t, p in zip(truth.ravel(), prediction.ravel(), strict=True):
        if t == 255 or not groups[t]:
            continue
        owners = [i for i, group in enumerate(groups) if p in group]
        counted += 1
        true[t] += 1
        if p in groups[t]:
            right[t] += 1
            found[t] += 1
        elif len(owners) == 1:
            found[owners[0]] += 1
    with np.errstate(invalid="ignore"):
        return right / (true + found - right), right.sum() / counted


@pytest.mark.parametrize(
    "groups",
    [
        ((0, 1), (2,), (3, 4), (5,)),  # A partition.
        ((0, 1), (1, 2), (3,), (4,)),  # 1 belongs to two, 5 to none.
        ((0, 1), (), (3,), (2, 4, 5)),  # The second class is left out.
    ],
)
def test_scores_in_other_classes_than_the_networks(groups):
    rng = np.random.default_rng(0)
    classes = tuple(LabelClass(f"c{i}", (0, 0, 0), "ab"[i % 2], i) for i in range(4))
    targets = tuple(LabelClass(f"t{i}", (0, 0, 0), "x", i) for i in range(6))
    table = LabelTable(classes, targets, groups)
    truth = rng.choice(np.uint8([0, 1, 2, 3, 255]), (40, 30))
    prediction = rng.integers(0, 6, (40, 30), dtype=np.uint8)
    matrix = in_classes_of_data(confusion_matrix(truth, prediction, 4, 6), table)
    scores = Scores.from_confusion(matrix, classes)
    iou, accuracy = scores_by_pixel(truth, prediction, groups, 4)
    np.testing.assert_allclose(scores.iou, iou)
    assert scores.pixel_accuracy == pytest.approx(accuracy)
    assert scores.miou == pytest.approx(np.nanmean(iou))
    assert set(scores.category_iou) == {"a", "b"} and 0 < scores.category_miou < 1


def test_the_same_classes_give_the_same_matrix():
    matrix = np.random.default_rng(0).integers(0, 99, (3, 3))
    table = relate(CLASSES[:3], CLASSES[:3])
    np.testing.assert_array_equal(in_classes_of_data(matrix, table), matrix)
