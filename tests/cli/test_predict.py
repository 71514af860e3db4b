from __future__ import annotations

import numpy as np
from PIL import Image

import asap_tf


def test_ids_of_an_image_are_the_models_labels(asap, model, camvid, tmp_path):
    frame = camvid / "val" / "0.png"
    result = asap("predict", model, frame, "--out", tmp_path / "out", "--mode", "ids")
    assert result.code == 0, result.err
    written = tmp_path / "out" / "0.png"
    assert result.out.strip() == str(written)
    expected = asap_tf.load(model).predict(np.asarray(Image.open(frame))[None])[0]
    np.testing.assert_array_equal(np.asarray(Image.open(written)), expected)


def test_mistakes(asap, model, camvid, tmp_path):
    out = tmp_path / "out"
    for args, message in [
        ([model, "absent.png", "--out", out], "absent.png"),
        ([model, camvid / "val" / "0.png"], "--out"),
        ([model, "--out", out], "INPUTS"),
        ([tmp_path / "none", camvid / "val", "--out", out], "no such model"),
        ([model, camvid / "val", "--out", out, "--mode", "rgb"], "rgb"),
    ]:
        result = asap("predict", *args)
        assert (result.code, message in result.err) == (2, True), result.err
    assert not out.exists()
