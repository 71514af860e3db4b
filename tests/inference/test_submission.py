from __future__ import annotations

import copy
import io
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
from cityscapesscripts.evaluation import evalPixelLevelSemanticLabeling as official
from PIL import Image

from asap_tf.core.errors import AsapError, UsageError
from asap_tf.data import open_dataset
from asap_tf.data.cityscapes import CLASSES
from asap_tf.data.dataset import Dataset
from asap_tf.inference.evaluate import evaluate
from asap_tf.inference.submission import check_submission, write_submission

SIZES = [(64, 128), (64, 128), (48, 96)]


class FakeSegmenter:
    """Right where blue is below 180, else what red says."""

    classes = CLASSES
    size = None

    def predict(self, frames):
        chosen = np.where(frames[..., 2] < 180, frames[..., 1], frames[..., 0])
        return (chosen % len(CLASSES)).astype(np.uint8)


@pytest.fixture
def dataset(tmp_path) -> Dataset:
    """A tiny Cityscapes: three frames of two cities to validate, the same to test."""
    rng = np.random.default_rng(0)
    root = tmp_path / "cityscapes"
    label_ids = np.array([c.label_id for c in CLASSES])
    for i, (height, width) in enumerate(SIZES):
        city = "ulm" if i == 2 else "bad-honnef"
        core = f"{city}_{i:06d}_000019"
        train_ids = np.kron(rng.integers(0, 17, (height // 8, width // 8)), np.ones((8, 8), int))
        image = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
        image[..., 1] = train_ids
        void = rng.random((height, width)) < 0.1
        truth = np.where(void, rng.choice([0, 1, 4, 9, 14, 30], void.shape), label_ids[train_ids])
        for split in ("val", "test"):
            frames, masks = (root / d / split / city for d in ("leftImg8bit", "gtFine"))
            frames.mkdir(parents=True, exist_ok=True)
            masks.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).save(frames / f"{core}_leftImg8bit.png")
            Image.fromarray(truth.astype(np.uint8)).save(masks / f"{core}_gtFine_labelIds.png")
    return open_dataset(root)


def official_scores(dataset: Dataset, split: str, results: Path) -> dict:
    """The official script, left to find the prediction of each mask by itself."""
    args = copy.copy(official.args)
    args.evalInstLevelScore = args.JSONOutput = False
    args.quiet = True
    args.predictionPath, args.predictionWalk = str(results), None
    truths = [str(pair.mask) for pair in dataset.pairs(split)]
    found = [official.getPrediction(args, truth) for truth in truths]
    return official.evaluateImgLists(found, truths, args)


def test_the_official_script_scores_it_as_evaluate_does(dataset, tmp_path):
    out = tmp_path / "submission.zip"
    write_submission(FakeSegmenter(), dataset, "val", out)
    zipfile.ZipFile(out).extractall(tmp_path / "results")
    theirs = official_scores(dataset, "val", tmp_path / "results")
    ours = evaluate(FakeSegmenter(), dataset).scores
    assert 0.1 < ours.miou < 0.9
    assert np.isfinite(ours.iou[17:]).all() and not ours.iou[17:].any(), "predicted, never true"
    assert ours.miou == pytest.approx(theirs["averageScoreClasses"], abs=1e-6)
    assert ours.category_miou == pytest.approx(theirs["averageScoreCategories"], abs=1e-6)
    for c, iou in zip(CLASSES, ours.iou, strict=True):
        assert iou == pytest.approx(theirs["classScores"][c.name], abs=1e-6)


def test_one_file_of_label_ids_per_frame_of_a_split_without_masks(dataset, tmp_path):
    out = tmp_path / "submission.zip"
    write_submission(FakeSegmenter(), dataset, "test", out)
    label_ids = np.array([c.label_id for c in CLASSES], np.uint8)
    with zipfile.ZipFile(out) as archive:
        assert sorted(archive.namelist()) == [
            "bad-honnef_000000_000019_pred_labelIds.png",
            "bad-honnef_000001_000019_pred_labelIds.png",
            "ulm_000002_000019_pred_labelIds.png",
        ]
        for pair in dataset.pairs("test"):
            frame = np.asarray(Image.open(pair.image))
            name = pair.image.name.replace("leftImg8bit", "pred_labelIds")
            stored = np.asarray(Image.open(io.BytesIO(archive.read(name))))
            assert stored.dtype == np.uint8
            np.testing.assert_array_equal(
                stored, label_ids[FakeSegmenter().predict(frame[None])[0]]
            )


def png(array: np.ndarray, form: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, form)
    return buffer.getvalue()


ROAD = np.full((64, 128), 7, np.uint8)
ULM = "ulm_000002_000019_pred.png"


def good_files() -> dict[str, bytes]:
    return {
        "bad-honnef_000000_000019.png": png(ROAD),
        "inner/bad-honnef_000001_000019_anything.png": png(ROAD),
        ULM: png(ROAD[:48, :96]),
    }


def write_zip(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def test_check_takes_every_name_that_the_official_script_takes(dataset, tmp_path):
    path = write_zip(tmp_path / "good.zip", {"inner/": b"", **good_files()})
    check_submission(path, dataset, "test")
    zipfile.ZipFile(path).extractall(tmp_path / "results")
    masks = sorted((dataset.root / "gtFine" / "val").rglob("*_labelIds.png"))
    args = copy.copy(official.args)
    args.predictionPath, args.predictionWalk = str(tmp_path / "results"), None
    found = [official.getPrediction(args, str(mask)) for mask in masks]
    assert sorted(Path(f).name for f in found) == sorted(Path(n).name for n in good_files())


@pytest.mark.parametrize(
    ("changes", "defect"),
    [
        ({ULM: None}, "ulm_000002_000019*.png: 0 files, exactly one is needed"),
        ({f"more/{ULM}": png(ROAD)}, "ulm_000002_000019*.png: 2 files, exactly one is needed"),
        ({"readme.txt": b"hello"}, "readme.txt: belongs to no frame of split 'test'"),
        ({"ulm_000002_000019.txt": b""}, "ulm_000002_000019.txt: belongs to no frame"),
        ({ULM: png(ROAD)}, f"{ULM}: 128 x 64, the frame is 96 x 48"),
        ({ULM: png(ROAD[:48, :96] + 40)}, f"{ULM}: [47] are not official label ids"),
        ({ULM: png(ROAD[:48, :96] * 0 + 255)}, f"{ULM}: [255] are not official label ids"),
        (
            {ULM: png(np.zeros((48, 96, 3), np.uint8))},
            f"{ULM}: PNG of mode RGB, an 8-bit gray PNG is needed",
        ),
        (
            {ULM: png(ROAD[:48, :96].astype(np.uint16))},
            f"{ULM}: PNG of mode I;16, an 8-bit gray PNG is needed",
        ),
        (
            {ULM: png(ROAD[:48, :96], "JPEG")},
            f"{ULM}: JPEG of mode L, an 8-bit gray PNG is needed",
        ),
        ({ULM: png(ROAD[:48, :96])[:50]}, f"{ULM}: not a readable image"),
        ({ULM: b""}, f"{ULM}: not a readable image"),
    ],
)
def test_check_names_the_defect(dataset, tmp_path, changes, defect):
    files = {k: v for k, v in {**good_files(), **changes}.items() if v is not None}
    path = write_zip(tmp_path / "bad.zip", files)
    with pytest.raises(AsapError) as error:
        check_submission(path, dataset, "test")
    head, *lines = str(error.value).splitlines()
    assert head == f"{path}: 1 defect in this submission"
    assert len(lines) == 1 and lines[0].startswith(defect)


def test_check_names_all_defects_at_once(dataset, tmp_path):
    path = write_zip(tmp_path / "bad.zip", {ULM: png(ROAD), "x.png": b""})
    with pytest.raises(AsapError) as error:
        check_submission(path, dataset, "test")
    head, *lines = str(error.value).splitlines()
    assert head == f"{path}: 4 defects in this submission"
    assert [line.partition(":")[0] for line in lines] == [
        "bad-honnef_000000_000019*.png",
        "bad-honnef_000001_000019*.png",
        ULM,
        "x.png",
    ]


def test_check_of_what_is_no_zip(dataset, tmp_path):
    path = tmp_path / "no.zip"
    with pytest.raises(AsapError, match="no.zip: not a readable zip file"):
        check_submission(path, dataset, "test")
    path.write_bytes(b"PK\x03\x04 nearly")
    with pytest.raises(AsapError, match="no.zip: not a readable zip file"):
        check_submission(path, dataset, "test")


def test_only_cityscapes_has_a_server(dataset, tmp_path):
    camvid = Dataset("camvid", tmp_path, CLASSES, dataset.encoding, dataset.splits)
    with pytest.raises(UsageError, match="is camvid data"):
        write_submission(FakeSegmenter(), camvid, "test", tmp_path / "a.zip")
    with pytest.raises(UsageError, match="is camvid data"):
        check_submission(tmp_path / "a.zip", camvid, "test")


def test_model_for_other_classes(dataset, tmp_path):
    segmenter = FakeSegmenter()
    segmenter.classes = CLASSES[:11]
    with pytest.raises(UsageError, match="model has 11 classes"):
        write_submission(segmenter, dataset, "test", tmp_path / "a.zip")


@pytest.mark.parametrize("name", ["folder", "missing/a.zip"])
def test_places_that_cannot_take_the_file(dataset, tmp_path, name):
    (tmp_path / "folder").mkdir()
    with pytest.raises(UsageError, match=name):
        write_submission(FakeSegmenter(), dataset, "test", tmp_path / name)


def test_a_full_disk_is_said_and_leaves_nothing(dataset, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(zipfile.ZipFile, "writestr", full)
    with pytest.raises(AsapError, match=r"a\.zip: cannot be written \(No space left on device\)"):
        write_submission(FakeSegmenter(), dataset, "test", tmp_path / "a.zip")
    assert os.listdir(tmp_path) == ["cityscapes"]


def test_a_failure_leaves_the_older_file_whole(dataset, tmp_path):
    out = tmp_path / "a.zip"
    out.write_bytes(b"older")
    broken = dataset.pairs("test")[-1].image
    broken.write_bytes(b"no image")
    with pytest.raises(AsapError, match=broken.name):
        write_submission(FakeSegmenter(), dataset, "test", out)
    assert out.read_bytes() == b"older"
    assert sorted(os.listdir(tmp_path)) == ["a.zip", "cityscapes"]
