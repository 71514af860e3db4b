"""Metadata beside a model and in it, which whoever made the model has written."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import zipfile

import keras
import pytest

import asap_tf
from asap_tf.core.errors import AsapError
from asap_tf.saving import checksums, read_metadata, read_sidecar, sidecar

CLASS = {"name": "road", "color": [128, 64, 128], "category": "flat", "label_id": 0}
NOTHING = hashlib.sha256().hexdigest()


@pytest.fixture
def model(artifact, tmp_path):
    shutil.copy(artifact, tmp_path)
    return tmp_path / artifact.name


def described(model, **metadata):
    text = json.dumps({"files": checksums(model), **metadata})
    sidecar(model).write_text(text)
    return text


@pytest.mark.parametrize("name", ["../secret", "/etc/passwd", "/dev/zero", "a/../../b", "a\\b"])
def test_files_that_leave_the_folder(model, name, asap):
    described(model, files={**checksums(model), name: NOTHING})
    with pytest.raises(AsapError, match=r"is damaged \(files.*no path below the folder"):
        read_sidecar(model)
    assert asap("info", model).code == 1


@pytest.mark.parametrize("kind", ["a pipe", "a device", "ten terabytes"])
def test_artifacts_that_never_end(tmp_path, kind, asap):
    xml, values = tmp_path / "model.xml", tmp_path / "model.bin"
    xml.write_text("<xml/>")
    if kind == "a pipe":
        os.mkfifo(values)
    elif kind == "a device":
        values.symlink_to("/dev/zero")
    else:
        values.touch()
        os.truncate(values, 10**13)
    files = {"model.xml": hashlib.sha256(xml.read_bytes()).hexdigest(), "model.bin": NOTHING}
    sidecar(xml).write_text(json.dumps({"files": files}))
    found = asap("info", xml)
    assert found.code == 1 and found.err.count("\n") == 1
    assert "not a regular file" in found.err or "10000 GB" in found.err


def test_a_link_to_a_secret(tmp_path, asap):
    """Weights that are another file's bytes: the labels would tell them."""
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "model.xml").write_text("<xml/>")
    (tmp_path / "secret").write_bytes(bytes(100))
    (folder / "model.bin").symlink_to(tmp_path / "secret")
    found = asap("info", folder / "model.xml")
    assert found.code == 1 and "model.bin: a link out of its folder" in found.err


def test_checksums_of_a_stranger_switch_nothing_off(model, monkeypatch):
    described(model, classes=[CLASS])
    assert read_sidecar(model)[1]

    def probe(path, trust):
        raise AsapError("tried in a process of its own")

    monkeypatch.setattr("asap_tf.runtime.loading.probe", probe)
    with pytest.raises(AsapError, match="in a process of its own"):
        asap_tf.load(model)


WRONG = {
    "classes": [
        [{**CLASS, "color": [300, 0, 0]}],
        [{**CLASS, "color": [1.5, 0, 0]}],
        [{**CLASS, "color": [0, 0]}],
        [{**CLASS, "color": "red"}],
        [{**CLASS, "name": "\x1b]0;title\x07"}],
        [{**CLASS, "name": "two\nlines"}],
        [{**CLASS, "name": "\ud800"}],
        [{**CLASS, "name": 7}],
        [{**CLASS, "name": "x" * 1000}],
        [{**CLASS, "category": None}],
        [{**CLASS, "label_id": "0"}],
        [{**CLASS, "label_id": 2**70}],
        [CLASS] * 300,
        {"0": CLASS},
    ],
    "size": [[0, 64], [-32, 64], [2**40, 2**40], [32.0, 64.0], [True, True], "32x64", {}],
    "batch": [0, "1", [1], 10**30],
    "parameters": ["1", -1, 1.5, [1]],
    "multiply_accumulates": ["1", -1, float("nan"), float("inf")],
    "operations": [[1], {"total": "1"}, {"\x1b[2J": 1}],
    "scores": [None, [], {}, {"miou": "0.5"}, {"miou": float("inf")}, {"miou": [0.5]}],
    "step": ["1", 1.5, -1, [1]],
    "versions": [[], {"keras": 3}, {"keras": "\x1b]0;x\x07"}, {"a\nb": "1"}],
    "parity": [None, [], {}, {"agreement": "1", "source": "x"}, {"agreement": 1.0, "source": "\r"}],
    "recipe": [[], "text"],
    "precision": [7, "\x1b[0m"],
    "format": [None, "a\nb"],
    "input": [[], "\x9b0m"],
    "files": [[], {"a": 7}, {"a": "no checksum"}],
}


@pytest.mark.parametrize(
    ("field", "value"),
    [(field, value) for field, values in WRONG.items() for value in values],
    ids=repr,
)
def test_entries_of_a_wrong_kind(model, field, value, asap):
    described(model, **{field: value})
    found = asap("info", model)
    assert found.code == 1, found
    assert f"{sidecar(model)} is damaged ({field}" in found.err
    assert found.err.count("\n") == 1 and found.err.rstrip("\n").isprintable()


@pytest.mark.parametrize(
    "text",
    [
        "[" * 200_000 + "]" * 200_000,
        '{"recipe": ' + "[" * 4_000 + "]" * 4_000 + "}",
        '{"step": ' + "1" * 2_000_000 + "}",
        '{"input": "' + "x" * 180_000_000 + '"}',
        '{"recipe": ' * 90 + "1" + "}" * 90,
    ],
    ids=["deep", "deep recipe", "long number", "180 MB", "deep objects"],
)
def test_metadata_without_an_end(model, text, asap):
    sidecar(model).write_text(text)
    found = asap("info", model)
    assert found.code == 1 and str(sidecar(model)) in found.err
    assert found.err.count("\n") == 1 and len(found.err) < 1000


def test_metadata_in_a_keras_file(tmp_path):
    file = tmp_path / "model.keras"
    frames = keras.Input((32, 64, 3))
    keras.Model(frames, keras.layers.Conv2D(1, 1)(frames)).save(file)
    with zipfile.ZipFile(file, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("asap_tf.json", b" " * 50_000_000)
    with pytest.raises(AsapError, match="asap_tf.json in it is damaged .*larger than 4 MB"):
        read_metadata(file)
    os.mkfifo(tmp_path / "pipe.keras")
    with pytest.raises(AsapError, match="not a regular file"):
        read_metadata(tmp_path / "pipe.keras")


def test_weights_of_onnx_in_another_file(artifact, tmp_path):
    import onnx

    model = onnx.load(artifact)
    (tmp_path / "secret").write_bytes(bytes(1000))
    (tensor,) = model.graph.initializer
    values = tensor.raw_data
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    for key, value in (("location", "../secret"), ("length", str(len(values)))):
        entry = tensor.external_data.add()
        entry.key, entry.value = key, value
    (tmp_path / "folder").mkdir()
    path = tmp_path / "folder" / "model.onnx"
    path.write_bytes(model.SerializeToString())
    with pytest.raises(AsapError, match="its tensor 'weights' lies in another file"):
        asap_tf.load(path)
