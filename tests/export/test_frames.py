from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from asap_tf import open_dataset
from asap_tf.core.errors import UsageError
from asap_tf.data.images import read_image, read_pair
from asap_tf.export.frames import export_frames
from asap_tf.streets import render


def images(folder, count):
    folder.mkdir()
    for i in range(count):
        Image.fromarray(np.full((48, 64, 3), i, np.uint8)).save(folder / f"{i:03}.png")
    return folder


def test_a_dataset_calibrates_on_training_and_proves_on_validation(streets_root):
    dataset = open_dataset(streets_root)
    calibrating, proving = export_frames(streets_root, dataset.classes, (64, 128), 4)
    first, last = dataset.pairs("train")[0], dataset.pairs("train")[-1]
    assert len(calibrating) == 4
    np.testing.assert_array_equal(calibrating[0], read_image(first.image))
    np.testing.assert_array_equal(calibrating[-1], read_image(last.image))
    image, truth = read_pair(dataset.pairs("val")[0], dataset.encoding)
    np.testing.assert_array_equal(proving.images[0], image)
    np.testing.assert_array_equal(proving.truths[0], truth)
    assert proving.source == f"20 frames of the validation split of {streets_root}"


def test_other_classes_have_no_truth(streets_root):
    classes = open_dataset(streets_root).classes[:5]
    _, proving = export_frames(streets_root, classes, (32, 64), 0)
    assert proving.truths is None
    assert proving.images.shape == (20, 32, 64, 3)


def test_images_are_calibrated_on_and_proven_apart(tmp_path):
    calibrating, proving = export_frames(images(tmp_path / "a", 30), [], (48, 64), 100)
    shown = {int(frame[0, 0, 0]) for frame in proving.images}
    assert len(shown) == 20 and {0, 29} <= shown
    assert {int(frame[0, 0, 0]) for frame in calibrating} == set(range(30)) - shown
    assert proving.truths is None


def test_images_of_any_mode_and_in_subfolders(tmp_path):
    folder = images(tmp_path / "a", 19)
    (folder / "deeper").mkdir()
    Image.fromarray(np.full((48, 64), 77, np.uint8)).save(folder / "deeper" / "gray.png")
    _, proving = export_frames(folder, [], (48, 64), 0)
    assert {int(frame[0, 0, 1]) for frame in proving.images} == {*range(19), 77}


def test_streets_stand_in():
    calibrating, proving = export_frames(None, [], (64, 128), 0)
    assert calibrating == []
    assert proving.source == "20 rendered streets"
    np.testing.assert_array_equal(proving.images[3], render(3, 64, 128).image)


@pytest.mark.parametrize("splits", [["train"], ["val"], ["own"], ["train", "val"]])
def test_a_dataset_without_enough_to_prove_on_in_its_validation_split(tmp_path, splits):
    classes = "classes: [{name: a, color: [0, 0, 0]}, {name: b, color: [9, 9, 9]}]"
    rows = ["masks: index", classes, "splits:"]
    for name, count in zip(splits, (24 if len(splits) == 1 else 5, 19), strict=False):
        images(tmp_path / name, count)
        (tmp_path / f"{name}_masks").mkdir()
        for i in range(count):
            Image.new("L", (64, 48)).save(tmp_path / f"{name}_masks" / f"{i:03}.png")
        rows.append(f"  {name}: {{images: {name}, masks: {name}_masks}}")
    (tmp_path / "dataset.yaml").write_text("\n".join(rows))
    dataset = open_dataset(tmp_path)
    calibrating, proving = export_frames(tmp_path, dataset.classes, (48, 64), 100)
    assert proving.source == f"20 frames of {tmp_path}"
    assert (len(calibrating), proving.truths.shape) == (4, (20, 48, 64))
    shown = sorted(int(frame[0, 0, 0]) for frame in [*calibrating, *proving.images])
    assert shown == (list(range(24)) if len(splits) == 1 else sorted([*range(5), *range(19)]))


def noise(folder, seeds, size=(48, 64), contrast=30):
    """Frames of noise around gray, one for each seed."""
    folder.mkdir()
    for i, seed in enumerate(seeds):
        frame = np.random.default_rng(seed).normal(128, contrast, (*size, 3))
        Image.fromarray(frame.clip(0, 255).astype(np.uint8)).save(folder / f"{i:03}.png")
    return folder


@pytest.mark.parametrize(
    ("options", "useful"),
    [
        ({"seeds": [0] * 40}, (1, 0)),
        ({"seeds": range(40), "contrast": 1}, (0, 0)),
        ({"seeds": range(40), "size": (24, 32)}, (0, 0)),
        ({"seeds": [*range(5)] * 8}, (5, 0)),
        ({"seeds": range(25)}, (5, None)),
    ],
)
def test_frames_of_little_use(tmp_path, caplog, options, useful):
    export_frames(noise(tmp_path / "a", **options), [], (48, 64), 100)
    (message,) = caplog.messages
    calibrating, proving = useful
    total = len(options["seeds"]) - 20
    assert f"{tmp_path / 'a'}: {calibrating} of {total} frames to calibrate on" in message
    assert (f" and {proving} of 20 frames to prove on are of use" in message) == (useful[1] == 0)


def test_frames_of_use(tmp_path, caplog):
    export_frames(noise(tmp_path / "a", range(40)), [], (48, 64), 100)
    export_frames(tmp_path / "a", [], (48, 64), 0)
    assert not caplog.messages


@pytest.mark.parametrize(
    ("count", "calibration", "message"),
    [
        (0, 1, "there are no images in it"),
        (19, 0, "has 19 frames; 20 are needed to prove the export on: add some"),
        (20, 1, "has 20 frames; 20 are needed to prove the export on, and others to calibrate"),
    ],
)
def test_too_few_images(tmp_path, count, calibration, message):
    with pytest.raises(UsageError, match=message):
        export_frames(images(tmp_path / "a", count), [], (64, 128), calibration)


def test_no_such_folder(tmp_path):
    with pytest.raises(
        UsageError, match="no such folder; `calibration` takes a dataset or folder of images"
    ):
        export_frames(tmp_path / "missing", [], (64, 128), 1)
