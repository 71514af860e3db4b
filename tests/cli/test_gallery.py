from __future__ import annotations

import numpy as np
from PIL import Image

from asap_tf.data import open_dataset
from asap_tf.data.images import read_pair
from asap_tf.inference.evaluate import evaluate
from asap_tf.inference.visualize import overlay
from asap_tf.runtime import load


def test_the_best_frame_is_above_the_worst_beside_its_truth(asap, model, camvid, tmp_path):
    out = tmp_path / "gallery.png"
    result = asap("gallery", model, "--data", camvid, "--out", out, "--count", 1)
    assert result.code == 0, result.err
    assert str(out) in result.out
    sheet = np.asarray(Image.open(out)).astype(int)
    dataset, segmenter = open_dataset(camvid), load(model)
    tops = []
    for frame_score in evaluate(segmenter, dataset).ranked():
        frame, truth = read_pair(frame_score.pair, dataset.encoding)
        seen = segmenter.predict(frame[None])[0]
        cells = [frame, *(overlay(frame, labels, dataset.palette) for labels in (truth, seen))]
        tops.append(top_of(cells, sheet))
    assert tops == sorted(tops) and len(tops) == 2


def top_of(cells, sheet) -> int:
    """The row of pixels at which a sheet of 1200 pixels shows three pictures side by side."""
    gap, width = 12, (1200 - 4 * 12) // 3
    shown = []
    for cell in cells:
        size = (width, round(cell.shape[0] * width / cell.shape[1]))
        shown.append(np.asarray(Image.fromarray(cell).resize(size, Image.Resampling.BOX)))
    height = shown[0].shape[0]
    for top in range(sheet.shape[0] - height + 1):
        lefts = [gap + i * (width + gap) for i in range(3)]
        found = [sheet[top : top + height, left : left + width] for left in lefts]
        if all((a == b).all() for a, b in zip(found, shown, strict=True)):
            return top
    raise AssertionError("not on the sheet")


def test_mistakes(asap, model, camvid, tmp_path):
    for args, code, message in [
        ([tmp_path / "none.keras", "--data", camvid], 2, "no such model"),
        ([model, "--data", camvid, "--split", "test"], 2, "has no split 'test'"),
        ([model, "--data", camvid, "--count", "0"], 2, "--count"),
        ([model, "--data", camvid, "--out", tmp_path / "a.jpg"], 2, "ends in .png"),
        ([model, "--data", camvid, "--out", tmp_path / "no" / "a.png"], 1, "a.png"),
    ]:
        result = asap("gallery", *args)
        assert (result.code, message in result.err) == (code, True), result.err
