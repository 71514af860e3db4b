from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image


def test_streets_check_show_and_prior(asap, tmp_path):
    root, sheet = tmp_path / "streets", tmp_path / "sheet.png"
    made = asap("data", "streets", root, "--train", 3, "--val", 1, "--size", "64x128")
    assert made.code == 0, made.err
    checked = asap("data", "check", root)
    assert checked.code == 0 and "no defects" in checked.out and "traffic light" in checked.out
    shown = asap("data", "show", root, "--frames", 2, "--out", sheet)
    assert shown.code == 0, shown.err
    assert np.asarray(Image.open(sheet)).shape[1:] == (1600, 3)
    assert "mIoU" in asap("data", "prior", root).out
    again = asap("data", "streets", root)
    assert again.code == 2 and str(root) in again.err


def test_convert(asap, camvid, tmp_path):
    shapes = [
        {"label": "car", "points": [[1, 1], [9, 1], [9, 9]]},
        {"label": "car", "points": [[2, 2]], "shape_type": "point"},
    ]
    size = {"imageHeight": 40, "imageWidth": 60}
    (camvid / "a.json").write_text(
        json.dumps({"imagePath": "train/0.png", "shapes": shapes, **size})
    )
    made = asap("data", "convert", camvid, tmp_path / "out", "--from", "labelme", "--val", 0)
    assert made.code == 0, made.err
    assert made.out == f"{tmp_path / 'out'}: 1 train frames, 2 classes: car, background\n"
    assert "not mapped: " in made.err and "car: point of 1" in made.err
    assert asap("data", "check", tmp_path / "out").code == 0
    again = asap("data", "convert", camvid, tmp_path / "out", "--from", "labelme")
    assert again.code == 2 and "already exists" in again.err


def test_check_lists_every_defect_and_fails(asap, camvid):
    (camvid / "train" / "0.png").write_bytes(b"")
    (camvid / "valannot" / "1.png").unlink()
    result = asap("data", "check", camvid)
    assert result.code == 1 and "2 defects" in result.out
    assert f"{camvid / 'train' / '0.png'}: an empty file" in result.out
    assert f"{camvid / 'val' / '1.png'}: no partner" in result.out


@pytest.mark.parametrize("size", ["512", "0x64", "axb", "64x²"])
def test_streets_refuses_a_size(asap, tmp_path, size):
    result = asap("data", "streets", tmp_path / "s", "--size", size)
    assert result.code == 2 and "HEIGHTxWIDTH" in result.err


def test_show_refuses(asap, camvid, tmp_path):
    result = asap("data", "show", camvid, "--frames", 0)
    assert result.code == 2 and "'--frames'" in result.err
    result = asap("data", "show", tmp_path / "none")
    assert result.code == 2 and "no such folder" in result.err
