from __future__ import annotations

import json
import sys
from dataclasses import replace
from importlib.util import find_spec

import keras
import numpy as np
import pytest

from asap_tf import load
from asap_tf.core.errors import AsapError, UsageError
from asap_tf.core.labels import numbered_classes
from asap_tf.export.bundle import tensorrt_bundle
from asap_tf.export.exporter import export
from asap_tf.export.frames import export_frames
from asap_tf.export.writers import litert
from asap_tf.saving import save_model, sidecar
from support.tiny import Tiny


@pytest.fixture(scope="module")
def exported(trained_model, streets_root, tmp_path_factory):
    out = tmp_path_factory.mktemp("export") / "out"
    precisions = ("fp32", "int8")
    return out, export(
        trained_model, out, ["saved_model", "litert"], precisions, calibration=streets_root
    )


def test_artifacts_have_their_names_and_nothing_else_is_left(exported):
    out, artifacts = exported
    assert [a.path for a in artifacts] == [
        out / "asap_fp32_saved_model",
        out / "asap_fp32.tflite",
        out / "asap_int8.tflite",
    ]
    assert {file.name for file in out.iterdir()} == {
        "asap_fp32_saved_model",
        "asap_fp32.tflite",
        "asap_fp32.tflite.json",
        "asap_int8.tflite",
        "asap_int8.tflite.json",
    }
    assert [file.name for file in out.parent.iterdir()] == ["out"]


def test_metadata_tells_what_it_is_and_how_it_was_proven(exported):
    out, artifacts = exported
    entries = json.loads((out / "asap_int8.tflite.json").read_text())
    assert (entries["format"], entries["precision"]) == ("litert", "int8")
    assert (entries["size"], entries["batch"], entries["output"]) == ([64, 128], 1, "labels")
    assert entries["classes"][0]["name"] == "road" and len(entries["classes"]) == 19
    assert entries["versions"].keys() == {"asap_tf", "keras", "tensorflow", "ai_edge_litert"}
    assert entries["parity"]["frames"] == 20
    assert entries["parity"]["agreement"] == artifacts[2].parity.agreement >= 0.97
    assert abs(entries["parity"]["miou_difference"]) < 0.05
    assert entries["files"].keys() == {"asap_int8.tflite"}


def test_the_proof_is_right(exported, trained_model, streets_root):
    from asap_tf import open_dataset
    from asap_tf.data.images import read_image

    trained, artifact = load(trained_model), load(exported[0] / "asap_int8.tflite")
    frames = [read_image(pair.image) for pair in open_dataset(streets_root).pairs("val")]
    equal = [trained.predict(f[np.newaxis]) == artifact.predict(f[np.newaxis]) for f in frames]
    assert np.mean(equal) == pytest.approx(exported[1][2].parity.agreement)


def test_the_price_of_a_label_stride(trained_model, streets_root, tmp_path):
    options = {"calibration": streets_root, "label_stride": 8}
    (artifact,) = export(trained_model, tmp_path / "out", ["litert"], **options)
    trained, strided = load(trained_model), load(artifact.path)
    _, proving = export_frames(streets_root, trained.classes, (64, 128), 0)
    equal = np.mean(trained.predict(proving.images) == strided.predict(proving.images))
    assert equal < 0.99
    assert artifact.parity.exact_agreement == pytest.approx(equal)
    assert artifact.parity.agreement >= 0.999
    assert artifact.parity.miou_difference == pytest.approx(0, abs=0.001)
    assert artifact.parity.exact_miou_difference != artifact.parity.miou_difference
    assert "; against labels of full size " in str(artifact.parity)
    assert json.loads(sidecar(artifact.path).read_text())["label_stride"] == 8


def test_a_size_that_is_no_multiple_of_32_is_padded(tmp_path):
    keras.utils.set_random_seed(0)
    model = Tiny(5, (None, None, 3))
    save_model(model, tmp_path / "model.keras", numbered_classes(5), (40, 72))
    frames = np.random.default_rng(0).integers(0, 256, (2, 40, 72, 3), dtype=np.uint8)
    whole = np.pad(frames, ((0, 0), (0, 24), (0, 24), (0, 0)), constant_values=116)
    expected = np.argmax(model(whole)[:, :40, :72], -1)
    np.testing.assert_array_equal(load(tmp_path / "model.keras").predict(frames), expected)
    for stride in (1, 2):
        out = tmp_path / f"stride{stride}"
        formats = ["saved_model", "litert", "onnx"]
        made = export(tmp_path / "model.keras", out, formats, label_stride=stride)
        for segmenter in (load(artifact.path) for artifact in made):
            assert segmenter.size == (40, 72)
            assert np.mean(segmenter.predict(frames) == expected) > (0.999, 0.9)[stride - 1]
    with pytest.raises(ValueError, match="frames of 40 x 72: .* must be multiples of 32"):
        model(frames)


def test_a_second_export_into_the_same_folder(trained_model, tmp_path, monkeypatch):
    out = tmp_path / "out"

    def write(*arguments):
        with pytest.raises(UsageError, match=r"out: process \d+ on .* is exporting into it"):
            export(trained_model, out, ["litert"])
        raise AsapError("stopped here")

    monkeypatch.setattr(litert, "write", write)
    with pytest.raises(AsapError, match="stopped here"):
        export(trained_model, out, ["litert"])
    assert list(tmp_path.iterdir()) == []


def test_a_network_of_keras_alone(tmp_path):
    """One output, whatever its layer's name, and nothing that says what the classes are."""
    frames = keras.Input((32, 64, 3))
    x = keras.layers.Rescaling(1 / 255)(frames)
    x = keras.layers.Conv2D(8, 3, 2, padding="same", activation="relu")(x)
    x = keras.layers.Conv2DTranspose(5, 2, 2)(x)
    keras.Model(frames, keras.layers.Softmax()(x)).save(tmp_path / "plain.keras")
    (artifact,) = export(tmp_path / "plain.keras", tmp_path / "out", ["litert"], size=(32, 64))
    assert [label.name for label in load(artifact.path).classes] == [f"class {i}" for i in range(5)]


def test_one_that_fails_its_proof_is_not_written(trained_model, tmp_path, monkeypatch):
    good = litert.write

    def write(deployment, precision, path, calibration, metadata):
        if precision == "fp16":
            other = keras.models.clone_model(deployment.model)
            deployment = replace(deployment, model=other)
        good(deployment, precision, path, calibration, metadata)

    monkeypatch.setattr(litert, "write", write)
    with pytest.raises(AsapError, match=r"asap_fp16.tflite: not written: .*99.5% are needed"):
        export(trained_model, tmp_path / "out", ["litert"], ["fp16", "fp32"])
    assert {f.name for f in (tmp_path / "out").iterdir()} == {
        "asap_fp32.tflite",
        "asap_fp32.tflite.json",
    }
    assert [f.name for f in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"formats": []}, "`formats` is empty: give one or more of saved_model, litert, onnx"),
        ({"formats": ["tflite"]}, "no export named 'tflite'; "),
        ({"formats": ["keras"]}, "no export named 'keras'; valid: "),
        ({"formats": ["saved_model"], "precisions": ["int8"]}, "comes in fp32, not in int8"),
        ({"formats": ["onnx"], "precisions": ["dynamic"]}, "comes in fp32, fp16, int8, not in dyn"),
        ({"precisions": ["int8"]}, "int8 needs frames to calibrate on"),
        ({"size": (30, 128)}, "`size` 30x128: at least 32x32 is needed"),
        ({"label_stride": 3}, "`label_stride` 3: this network has 1, 2, 4, 8"),
        ({"label_stride": 2, "output": "logits"}, "`label_stride` 2: labels have one"),
        ({"batch": 0}, "`batch` 0: at least 1"),
        ({"calibration_frames": 0}, "`calibration_frames` 0: at least 1"),
    ],
)
def test_what_cannot_be_done_is_refused(trained_model, tmp_path, options, message):
    with pytest.raises(UsageError, match=message):
        export(trained_model, tmp_path / "out", **{"formats": ["litert"], **options})
    assert not list(tmp_path.iterdir())


def test_a_missing_package_is_named_before_any_work(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ai_edge_litert", None)
    with pytest.raises(AsapError, match=r"pip install 'asap-tf\[litert\]'"):
        export(tmp_path / "none", tmp_path / "out", ["litert"])


def test_another_backend_than_tensorflow_is_refused(trained_model, tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    with pytest.raises(UsageError, match="TensorFlow makes the exports: leave KERAS_BACKEND out"):
        export(trained_model, tmp_path / "out", ["litert"])


def test_a_folder_that_exists_is_left_alone(trained_model, tmp_path):
    (tmp_path / "kept").write_text("mine")
    with pytest.raises(UsageError, match="already exists; remove it or choose another folder"):
        export(trained_model, tmp_path, ["litert"])
    assert (tmp_path / "kept").read_text() == "mine"


def test_a_folder_that_cannot_be_made(trained_model, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="cannot be written"):
        export(trained_model, tmp_path / "file" / "out", ["litert"])


def test_a_full_disk_is_one_line(trained_model, tmp_path, monkeypatch):
    def write(deployment, precision, path, calibration, metadata):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(litert, "write", write)
    with pytest.raises(AsapError) as caught:
        export(trained_model, tmp_path / "out", ["litert"])
    assert str(caught.value) == "asap_fp32.tflite: cannot be written (No space left on device)"
    assert not list(tmp_path.iterdir())


def test_a_bundle_alone(trained_model, tmp_path):
    out = tmp_path / "out"
    artifacts = export(trained_model, out, [], package=tensorrt_bundle(calibrated=False))
    assert [file.name for file in out.iterdir()] == ["tensorrt_bundle"]
    folder, judged = out / "tensorrt_bundle", find_spec("tensorrt_rtx") is not None
    names = "asap_%s_rtx.engine" if judged else "asap_%s_tensorrt.onnx"
    assert [a.path for a in artifacts] == [folder / (names % p) for p in ("fp32", "fp16")]
    assert len(list(folder.glob("asap_fp16_*.onnx"))) == 1
    operators = (folder / "operators.md").read_text()
    assert "| Conv | 30 | 30 |" in operators
    assert ("asap_fp16_rtx.engine: built by NVIDIA" in operators) == judged
    entries = json.loads((folder / "bundle.json").read_text())
    assert (entries["size"], entries["floors"]) == ([64, 128], {"fp32": 0.999, "fp16": 0.995})
    assert not {"format", "precision", "on_gpu", "note"} & entries.keys()


def test_whole_batches_are_proven(trained_model, tmp_path, monkeypatch):
    from asap_tf.runtime.network import FixedNetwork

    given = []
    labels = FixedNetwork.labels

    def count(self, frames, size, out):
        given.append(len(frames))
        return labels(self, frames, size, out)

    monkeypatch.setattr(FixedNetwork, "labels", count)
    (artifact,) = export(trained_model, tmp_path / "out", ["saved_model"], batch=8)
    assert given == [8, 8, 4]
    assert artifact.parity.agreement >= 0.999
