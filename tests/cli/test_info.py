from __future__ import annotations

import asap_tf


def test_says_what_the_model_is(asap, model):
    out = asap("info", model).out
    parameters = asap_tf.load(model).model.count_params()
    for fact in (f"{parameters:,}", "32x64", "sky, building", "50.0%", "name: x", "RGB frames"):
        assert fact in out


def test_file_that_is_no_model(asap, tmp_path):
    (tmp_path / "x.keras").write_text("no")
    result = asap("info", tmp_path / "x.keras")
    assert result.code == 1 and "cannot be opened as a Keras model" in result.err
