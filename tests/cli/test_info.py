from __future__ import annotations

import shutil

import pytest

import asap_tf


def test_says_what_the_model_is(asap, model):
    out = asap("info", model).out
    parameters = asap_tf.load(model).network.model.count_params()
    for fact in (f"{parameters:,}", "32x64", "sky, building", "50.0%", "name: x", "RGB frames"):
        assert fact in out


FACTS = {
    "format": "litert",
    "precision": "fp32",
    "parameters": "12,345,678",
    "frame size": "32x64",
    "batch": "1",
    "output": "labels",
}


def facts(out):
    """The first word or two of each line, and the rest."""
    return {line[:16].strip(): line[16:].strip() for line in out.splitlines()}


def test_says_what_an_artifact_is_without_opening_it(asap, artifact, monkeypatch):
    monkeypatch.setattr("asap_tf.runtime.load", None)
    found = facts(asap("info", artifact).out)
    assert FACTS.items() <= found.items()
    assert found["file"] == f"{artifact} ({artifact.stat().st_size / 1e6:.1f} MB)"
    assert found["classes"].startswith("sky, building")
    expected = "99.987% of labels are the Keras model's, on 20 streets, mIoU -0.10"
    assert found["parity"] == expected


def test_without_the_metadata_beside_it_the_artifact_speaks(asap, artifact, tmp_path):
    shutil.copy(artifact, tmp_path)
    found = facts(asap("info", tmp_path / artifact.name).out)
    assert FACTS.items() <= found.items() and "parity" not in found
    assert found["classes"].startswith("sky, building")


@pytest.mark.parametrize("name", ["x.keras", "x.tflite", "x.onnx", "x.xml"])
def test_file_that_is_no_model(asap, tmp_path, name):
    (tmp_path / name).write_text("no")
    (tmp_path / "x.bin").write_text("no")
    result = asap("info", tmp_path / name)
    assert result.code == 1 and f"{name}: " in result.err and "cannot be opened as" in result.err
    assert result.err.count("\n") == 1
