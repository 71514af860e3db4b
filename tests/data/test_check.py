from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from asap_tf.core.errors import AsapError, UsageError
from asap_tf.data import open_dataset
from asap_tf.data.check import check_dataset, checked


def test_counts_and_shares_against_a_plain_count(camvid_root: Path) -> None:
    report = check_dataset(open_dataset(camvid_root))
    assert report.counts == {"train": 4, "val": 2}
    assert report.defects == []
    dataset = report.dataset
    for split in report.counts:
        masks = [np.array(Image.open(pair.mask)) for pair in dataset.pairs(split)]
        expected = np.array([[int((mask == i).sum()) for i in range(12)] for mask in masks])
        np.testing.assert_array_equal(report.pixels[split], expected)
        assert report.class_pixels[split].tolist() == expected.sum(axis=0)[:11].tolist()
        assert report.class_pixels[split].dtype == np.int64
        assert report.ignored_pixels[split] == expected[:, 11].sum()
        share = expected[:, 11].sum() / expected.sum()
        assert report.ignored_share[split] == pytest.approx(share)


def test_what_is_skipped_is_not_counted(camvid_root: Path) -> None:
    whole = check_dataset(open_dataset(camvid_root))
    (camvid_root / "train/0002.png").write_bytes(b"")
    (camvid_root / "trainannot/0003.png").write_bytes(b"")
    report = checked(open_dataset(camvid_root), ["train", "val"], skip_bad=True)
    assert report.counts == {"train": 2, "val": 2}
    assert len(report.dataset.pairs("train")) == 2
    np.testing.assert_array_equal(report.pixels["train"], whole.pixels["train"][:2])
    np.testing.assert_array_equal(report.pixels["val"], whole.pixels["val"])


def test_every_defect_is_found_in_one_pass(camvid_root: Path) -> None:
    train, truth = camvid_root / "train", camvid_root / "trainannot"
    # Both files of one pair are bad: both must be told.
    Image.open(train / "0000.png").convert("L").save(train / "0000.png")
    Image.fromarray(np.full((24, 32), 12, np.uint8)).save(truth / "0000.png")
    (train / "0001.png").write_bytes((train / "0001.png").read_bytes()[:200])
    Image.fromarray(np.zeros((24, 31), np.uint8)).save(truth / "0002.png")
    (truth / "0003.png").unlink()
    (camvid_root / "valannot/0000.png").rename(camvid_root / "valannot/9999.png")
    (camvid_root / "test").mkdir()

    report = check_dataset(open_dataset(camvid_root))
    assert report.counts == {"train": 3, "val": 1, "test": 0}
    problems = {defect.path.relative_to(camvid_root): defect.problem for defect in report.defects}
    begins = {
        "train/0000.png": "a gray image; 8-bit RGB is needed",
        "trainannot/0000.png": "holds ids outside the class table: 12",
        "train/0001.png": "broken (",
        "trainannot/0002.png": "31 x 24 pixels, but its frame has 32 x 24",
        "train/0003.png": "no partner: ",
        "val/0000.png": "no partner: ",
        "valannot/9999.png": "no partner: ",
        ".": "split 'test' holds no frames",
    }
    assert problems.keys() == {Path(name) for name in begins}
    for name, begin in begins.items():
        assert problems[Path(name)].startswith(begin)

    lines = report.summary().splitlines()
    for defect in report.defects:
        assert f"{defect.path}: {defect.problem}" in lines
    assert lines[-1] == "8 defects"


def test_a_class_that_never_occurs_is_a_warning(camvid_root: Path) -> None:
    for mask in (camvid_root / "valannot").iterdir():
        Image.fromarray(np.full((24, 32), 3, np.uint8)).save(mask)
    report = check_dataset(open_dataset(camvid_root), ["val"])
    assert report.defects == []
    assert len(report.warnings) == 10
    assert "class 'sky' never occurs in split 'val'" in report.warnings
    assert not any("road" in warning for warning in report.warnings)


def test_a_split_without_a_label_is_told_and_refused(camvid_root: Path) -> None:
    for mask in (camvid_root / "valannot").iterdir():
        Image.fromarray(np.full_like(np.array(Image.open(mask)), 11)).save(mask)
    dataset = open_dataset(camvid_root)
    assert "split 'val' has masks, but not one labeled pixel" in check_dataset(dataset).warnings
    with pytest.raises(AsapError, match="split 'val' has not one labeled pixel: .*data show"):
        checked(dataset, ["train", "val"])
    assert checked(dataset, ["val"], labels=False).counts == {"val": 2}


def test_masks_of_0_and_255(tmp_path: Path) -> None:
    for name, value in (("frame", (9, 9, 9)), ("mask", 0)):
        (tmp_path / name).mkdir()
        image = Image.new("RGB" if name == "frame" else "L", (8, 8), value)
        image.paste(255 if name == "mask" else (0, 0, 0), (0, 0, 4, 8))
        image.save(tmp_path / name / "0.png")
    description = {
        "masks": "index",
        "classes": [{"name": n, "color": [i, 0, 0]} for i, n in enumerate(["rest", "crack"])],
        "splits": {"train": {"images": "frame", "masks": "mask"}},
    }
    (tmp_path / "dataset.yaml").write_text(yaml.safe_dump(description))
    assert check_dataset(open_dataset(tmp_path)).warnings[-1] == (
        "if 255, which is ignored, stands for 'crack' in these masks, give that class `id: 255` "
        "and the dataset `ignore_label: []`"
    )
    description["classes"][1]["id"], description["ignore_label"] = 255, []
    (tmp_path / "dataset.yaml").write_text(yaml.safe_dump(description))
    report = check_dataset(open_dataset(tmp_path))
    assert report.class_pixels["train"].tolist() == [32, 32] and not report.warnings


def test_a_palette_of_other_classes_colors_is_told(camvid_root: Path) -> None:
    dataset = open_dataset(camvid_root)
    colors = [label.color for label in dataset.classes]
    file = camvid_root / "valannot" / "0000.png"
    for shown, told in ((colors, []), ([colors[1], colors[0], *colors[2:]], ["sky", "building"])):
        mask = Image.open(file).copy()
        mask.putpalette([value for color in shown for value in color])
        mask.save(file)
        warnings = [w for w in check_dataset(dataset, ["val"]).warnings if "in the color of" in w]
        assert [w.split("'")[1] for w in warnings] == told
    assert warnings[0].startswith("0000.png shows 'sky' in the color of 'building': are the ids")


def test_summary_is_a_table(bdd100k_root: Path) -> None:
    lines = check_dataset(open_dataset(bdd100k_root)).summary().splitlines()
    assert lines[0] == f"{bdd100k_root}: bdd100k, 19 classes"
    assert lines[1].split() == ["train", "val", "test"]
    assert lines[2].split() == ["frames", "2", "1", "1"]
    shares = [line.split()[-3:] for line in lines[3:23]]
    assert [line.split()[0] for line in lines[3:5]] == ["road", "sidewalk"]
    assert sum(float(share[0].rstrip("%")) for share in shares) == pytest.approx(100, abs=0.2)
    # Without masks there is nothing to share out, and nothing to warn of.
    assert {share[2] for share in shares} == {"-"}
    assert lines[23:] == ["no defects"]


def test_splits_can_be_chosen(camvid_root: Path) -> None:
    (camvid_root / "train/0000.png").write_bytes(b"")
    dataset = open_dataset(camvid_root)
    assert check_dataset(dataset, ["val"]).defects == []
    assert [d.path.name for d in check_dataset(dataset, ["train"]).defects] == ["0000.png"]
    with pytest.raises(UsageError, match="no split 'vla'; did you mean 'val'?"):
        check_dataset(dataset, ["vla"])


def test_the_real_frames_have_no_defect(real_data: Path) -> None:
    report = check_dataset(open_dataset(real_data / "camvid"))
    assert report.defects == [] and report.warnings == []
    assert report.counts == {"train": 367, "val": 101}
    for split, pixels in report.class_pixels.items():
        assert pixels.sum() + report.ignored_pixels[split] == report.counts[split] * 360 * 480
