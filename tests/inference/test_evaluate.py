from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from asap_tf.core.errors import AsapError, UsageError
from asap_tf.core.labels import IGNORE_LABEL, LabelClass, relate
from asap_tf.data import open_dataset
from asap_tf.data.dataset import Dataset, Pair
from asap_tf.data.encodings import train_id_encoding
from asap_tf.inference.evaluate import Evaluation, FrameScore, evaluate
from asap_tf.inference.metrics import Scores, confusion_matrix
from asap_tf.inference.prior import location_prior
from support.thread_hosts import on_two_hosts

CLASSES = tuple(
    LabelClass(name, (i, i, i), category, i)
    for i, (name, category) in enumerate(
        [("road", "flat"), ("car", "vehicle"), ("bus", "vehicle"), ("sky", "sky")]
    )
)


SAME = relate(CLASSES, CLASSES)


class FakeSegmenter:
    """Reads the classes off the frame: red is the prediction, all channels make the softmax."""

    def __init__(self, classes=CLASSES, size=None):
        self.classes = classes
        self.size = size
        self.sizes = []

    def predict(self, frames):
        assert frames.dtype == np.uint8 and frames.shape[0] == 1, "one frame at a time"
        return frames[..., 0] % len(self.classes)

    def probabilities(self, frames, size):
        """Depends on the side of the frame and on the size, so that passes differ."""
        self.sizes.append(size)
        columns = np.linspace(0, 1, frames.shape[2])[:, None]
        logits = [
            np.sin(frames[..., c % 3] * (c + 1.0) + size[0] + 2 * columns[:, 0] * c)
            for c in range(len(self.classes))
        ]
        odds = np.exp(np.stack(logits, axis=-1))
        return (odds / odds.sum(axis=-1, keepdims=True)).astype(np.float32)


def make_dataset(folder: Path, splits: dict[str, list[np.ndarray]]) -> Dataset:
    """A dataset of random frames under the given masks of train ids."""
    rng = np.random.default_rng(0)
    pairs: dict[str, list[Pair]] = {}
    for split, masks in splits.items():
        pairs[split] = []
        for i, mask in enumerate(masks):
            pair = Pair(folder / f"{split}_{i}.png", folder / f"{split}_{i}_mask.png")
            image = rng.integers(0, 256, (*mask.shape, 3), dtype=np.uint8)
            Image.fromarray(image).save(pair.image)
            Image.fromarray(mask).save(pair.mask)
            pairs[split].append(pair)
    frozen = {split: tuple(of_split) for split, of_split in pairs.items()}
    return Dataset("folder", folder, CLASSES, train_id_encoding(len(CLASSES)), frozen)


def random_masks(seed: int, count: int, size=(40, 70), ids=(0, 1, 2, 3, 255)) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.choice(ids, size).astype(np.uint8) for _ in range(count)]


def frame_of(pair: Pair) -> np.ndarray:
    return np.asarray(Image.open(pair.image))


def test_single_scale_scores_predict_over_the_split(tmp_path):
    masks = random_masks(1, 3) + random_masks(2, 1, size=(33, 65))
    dataset = make_dataset(tmp_path, {"val": masks})
    segmenter = FakeSegmenter()
    evaluation = evaluate(segmenter, dataset)

    truth = np.concatenate([m.ravel() for m in masks])
    prediction = np.concatenate([frame_of(p)[..., 0].ravel() % 4 for p in dataset.pairs("val")])
    np.testing.assert_array_equal(evaluation.matrix, confusion_matrix(truth, prediction, 4))
    assert evaluation.matrix.dtype == np.int64
    assert segmenter.sizes == [], "no need of probabilities"
    expected = Scores.from_confusion(evaluation.matrix, CLASSES)
    assert evaluation.scores.to_dict() == expected.to_dict()
    assert evaluation.num_frames == 4
    assert evaluation.seconds > 0


def test_each_frame_has_its_own_score_in_order(tmp_path):
    masks = random_masks(3, 3)
    dataset = make_dataset(tmp_path, {"val": masks})
    frames = evaluate(FakeSegmenter(), dataset).frames
    assert [frame.pair for frame in frames] == list(dataset.pairs("val"))
    for frame, mask in zip(frames, masks, strict=True):
        prediction = frame_of(frame.pair)[..., 0] % 4
        valid = mask != IGNORE_LABEL
        assert frame.pixel_accuracy == pytest.approx((prediction == mask)[valid].mean())
        ious = [
            ((prediction == c) & (mask == c)).sum()
            / (((prediction == c) & valid) | (mask == c)).sum()
            for c in range(4)
        ]
        assert frame.miou == pytest.approx(np.mean(ious))


@pytest.mark.parametrize(
    ("scales", "flip", "size", "expected_sizes"),
    [
        ((1.0,), True, None, [(32, 64)]),
        ((0.5, 1, 1.5), False, None, [(32, 32), (32, 64), (64, 96)]),
        ((0.5, 1.25), True, (64, 128), [(32, 64), (96, 160)]),
        ((0.1,), False, (64, 128), [(32, 32)]),
    ],
)
def test_probabilities_of_all_passes_are_averaged(tmp_path, scales, flip, size, expected_sizes):
    masks = random_masks(4, 2)
    dataset = make_dataset(tmp_path, {"val": masks})
    segmenter = FakeSegmenter(size=size)
    evaluation = evaluate(segmenter, dataset, scales=scales, flip=flip)
    assert segmenter.sizes == [s for s in expected_sizes for _ in range(1 + flip)] * 2

    expected = np.zeros((4, 4), np.int64)
    for pair, mask in zip(dataset.pairs("val"), masks, strict=True):
        frame = frame_of(pair)
        passes = []
        for network_size in expected_sizes:
            passes.append(FakeSegmenter().probabilities(frame[None], network_size)[0])
            if flip:
                mirrored = FakeSegmenter().probabilities(np.fliplr(frame)[None], network_size)[0]
                passes.append(np.fliplr(mirrored))
        mean = np.mean(np.asarray(passes, np.float64), axis=0)
        expected += confusion_matrix(mask, mean.argmax(axis=-1).astype(np.uint8), 4)
    np.testing.assert_array_equal(evaluation.matrix, expected)


def test_scale_one_needs_probabilities_only_with_others(tmp_path):
    dataset = make_dataset(tmp_path, {"val": random_masks(5, 1)})
    segmenter = FakeSegmenter()
    evaluate(segmenter, dataset, scales=[1])
    assert segmenter.sizes == []
    evaluate(segmenter, dataset, scales=[0.75])
    assert segmenter.sizes == [(32, 64)]


def test_ranked_is_best_first_without_unlabeled_frames():
    scores = [0.3, math.nan, 0.9, 0.5]
    frames = [FrameScore(Pair(Path(f"{i}.png"), None), s, s) for i, s in enumerate(scores)]
    matrix = np.eye(4, dtype=np.int64)
    evaluation = Evaluation(matrix, Scores.from_confusion(matrix, CLASSES), frames, 1.0, SAME)
    assert [frame.miou for frame in evaluation.ranked()] == [0.9, 0.5, 0.3]
    assert evaluation.num_frames == 4


def test_a_frame_without_labels_adds_nothing(tmp_path):
    masks = [*random_masks(6, 1), np.full((40, 70), IGNORE_LABEL, np.uint8)]
    evaluation = evaluate(FakeSegmenter(), make_dataset(tmp_path, {"val": masks}))
    assert evaluation.matrix.sum() == (masks[0] != IGNORE_LABEL).sum()
    assert math.isnan(evaluation.frames[1].miou)


@pytest.mark.parametrize("scales", [(), (0.0,), (1.0, -0.5), (math.nan,), (math.inf,)])
def test_bad_scales(tmp_path, scales):
    dataset = make_dataset(tmp_path, {"val": random_masks(7, 1)})
    with pytest.raises(UsageError, match="`scales`"):
        evaluate(FakeSegmenter(), dataset, scales=scales)


def test_model_of_other_classes_is_scored_on_those_that_it_has(tmp_path):
    masks = random_masks(8, 2)
    dataset = make_dataset(tmp_path, {"val": masks})
    other = (LabelClass("tree", (0, 0, 0), "nature", 0), *CLASSES[2::-1])
    evaluation = evaluate(FakeSegmenter(other), dataset)
    assert evaluation.table.names() == {"road": ["road"], "car": ["car"], "bus": ["bus"]}
    meant = np.uint8([9, 2, 1, 0])
    prediction = np.stack([meant[frame_of(p)[..., 0] % 4] for p in dataset.pairs("val")])
    truth = np.stack(masks)
    for i in range(3):
        counted = truth < 3
        hits = ((prediction == i) & (truth == i)).sum()
        union = (((prediction == i) & counted) | (truth == i)).sum()
        assert evaluation.scores.iou[i] == pytest.approx(hits / union)
    assert math.isnan(evaluation.scores.iou[3])
    text, plain = evaluation.summary(), evaluation.to_dict()
    assert "left out: sky" in text and plain["compared"]["bus"] == ["bus"]


def test_model_of_other_classes_is_scored_by_a_table(tmp_path):
    dataset = make_dataset(tmp_path, {"val": random_masks(8, 2)})
    other = tuple(LabelClass(name, (0, 0, 0), "x", 0) for name in ("way", "vehicle", "air"))
    table = {"road": ["way"], "car": ["vehicle"], "bus": ["vehicle"], "sky": ["air"]}
    evaluation = evaluate(FakeSegmenter(other), dataset, table=table)
    truth = np.stack(random_masks(8, 2))
    prediction = np.stack([frame_of(p)[..., 0] % 3 for p in dataset.pairs("val")])
    right = (prediction == np.uint8([0, 1, 1, 2, *[255] * 252])[truth])[truth != 255]
    assert evaluation.scores.pixel_accuracy == pytest.approx(right.mean())
    with pytest.raises(UsageError, match=r"no class of the data \(road, .*\(way, .*`table`"):
        evaluate(FakeSegmenter(other), dataset)


def test_splits_that_cannot_be_scored(tmp_path):
    dataset = make_dataset(tmp_path, {"train": random_masks(9, 1)})
    unlabeled = Dataset(
        "folder", tmp_path, CLASSES, dataset.encoding, {"test": (Pair(tmp_path / "0.png", None),)}
    )
    with pytest.raises(UsageError, match="1 of 1 frames of split 'test' have no mask"):
        evaluate(FakeSegmenter(), unlabeled, "test")
    with pytest.raises(UsageError, match="has no split 'val'"):
        evaluate(FakeSegmenter(), dataset)
    with pytest.raises(UsageError, match="has no split 'val'"):
        location_prior(dataset)


def test_a_broken_mask_is_named(tmp_path):
    dataset = make_dataset(tmp_path, {"train": random_masks(1, 1), "val": random_masks(10, 3)})
    broken = dataset.pairs("val")[1].mask
    broken.write_bytes(broken.read_bytes()[:60])
    for score in (lambda: evaluate(FakeSegmenter(), dataset), lambda: location_prior(dataset)):
        with pytest.raises(AsapError, match=broken.name):
            score()


def naive_prior(train: list[np.ndarray], num_classes: int) -> np.ndarray:
    """Position by position; all masks of one size."""
    overall = [sum(int((m == c).sum()) for m in train) for c in range(num_classes)]
    prior = np.zeros(train[0].shape, np.uint8)
    for y, x in np.ndindex(prior.shape):
        seen = [sum(int(m[y, x] == c) for m in train) for c in range(num_classes)]
        prior[y, x] = seen.index(max(seen)) if any(seen) else overall.index(max(overall))
    return prior


def test_location_prior_against_a_loop(tmp_path):
    # Few and sparse masks, so that some positions are never labeled.
    train = random_masks(11, 5, size=(24, 40), ids=(0, 1, 2, 2, 3, 255, 255, 255))
    assert any(all(m[y, x] == 255 for m in train) for y, x in np.ndindex(24, 40))
    val = random_masks(12, 3, size=(24, 40))
    dataset = make_dataset(tmp_path, {"train": train, "val": val})
    prior = naive_prior(train, 4)
    expected = Scores.from_confusion(sum(confusion_matrix(m, prior, 4) for m in val), CLASSES)
    assert location_prior(dataset).to_dict() == expected.to_dict()


def test_location_prior_with_masks_of_other_sizes(tmp_path):
    layout = np.repeat(np.array([3, 1, 0], np.uint8), 8)[:, None] * np.ones(36, np.uint8)
    doubled = np.kron(layout, np.ones((2, 2), np.uint8))
    thirded = layout[1::3, 1::3]
    noise = [np.full_like(layout, 2)]
    dataset = make_dataset(
        tmp_path, {"train": [layout, doubled, thirded, *noise], "val": [layout, doubled, thirded]}
    )
    assert location_prior(dataset).pixel_accuracy == 1.0


def test_location_prior_of_named_splits(tmp_path):
    ones, twos = np.full((8, 8), 1, np.uint8), np.full((8, 8), 2, np.uint8)
    dataset = make_dataset(tmp_path, {"a": [ones], "b": [twos], "val": [ones]})
    assert location_prior(dataset, "a", "b").pixel_accuracy == 0
    assert location_prior(dataset, "a").pixel_accuracy == 1


def test_hosts_score_parts_and_get_the_result_of_one(streets_root):
    class Dark:
        """Sees class 1 in dark frames and 0 in others."""

        classes = open_dataset(streets_root).classes

        def predict(self, frames):
            return np.broadcast_to((frames.mean() < 128), frames.shape[:3]).astype(np.uint8)

    dataset = open_dataset(streets_root)
    options = {"boundary": 2, "by": ("size", "row")}
    alone = evaluate(Dark(), dataset, **options)
    assert len({frame.miou for frame in alone.frames}) > 10
    for evaluation in on_two_hosts(lambda hosts: evaluate(Dark(), dataset, hosts=hosts, **options)):
        np.testing.assert_array_equal(evaluation.matrix, alone.matrix)
        assert evaluation.frames == alone.frames
        assert evaluation.to_dict() == alone.to_dict()


def test_parts_and_boundaries_are_in_the_classes_of_the_data(tmp_path):
    """Right is what the table lets pass, in each part as in the whole."""
    dataset = make_dataset(tmp_path, {"val": random_masks(8, 2, size=(60, 70))})
    other = tuple(LabelClass(name, (0, 0, 0), "x", 0) for name in ("way", "vehicle", "air"))
    table = {"road": ["way", "air"], "car": ["vehicle"], "bus": ["vehicle"]}
    evaluation = evaluate(FakeSegmenter(other), dataset, table=table, by=("row", "size"))
    right, missed, false = (np.diag(evaluation.matrix), *(evaluation.matrix.sum(i) for i in (1, 0)))
    for part in evaluation.parts:
        whole = part.counts.sum(axis=1)
        np.testing.assert_array_equal(whole[0], right)
        np.testing.assert_array_equal(whole[1], missed - right)
        np.testing.assert_array_equal(whole[2], (false[:4] - right))
    with pytest.raises(UsageError, match="`by` 'rows': did you mean 'row'"):
        evaluate(FakeSegmenter(), dataset, by=("rows",))
