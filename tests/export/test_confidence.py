"""Exports that say how sure they are, against a softmax of the Keras model's logits by NumPy."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from asap_tf import load
from asap_tf.core.labels import numbered_classes
from asap_tf.export.exporter import export
from asap_tf.export.graph import Deployment
from asap_tf.export.rewrites.confidence import confidence_by_softmax, confidence_by_sum
from asap_tf.saving import load_keras_model, save_model
from support.tiny import Tiny

TEMPERATURE = 1.7


def confidence(logits):
    scaled = np.asarray(logits) / TEMPERATURE
    return (np.exp(scaled) / np.exp(scaled).sum(-1, keepdims=True)).max(-1)


@pytest.fixture(scope="module")
def calibrated(trained_model, tmp_path_factory):
    """The trained model with a temperature."""
    path = tmp_path_factory.mktemp("calibrated") / "model.keras"
    known = load(trained_model)
    model = load_keras_model(trained_model)
    save_model(model, path, known.classes, (64, 128), temperature=TEMPERATURE)
    return path


@pytest.fixture(scope="module")
def exported(calibrated, streets_root, tmp_path_factory):
    out = tmp_path_factory.mktemp("export") / "out"
    formats = ["saved_model", "litert", "onnx", "openvino"]
    options = {"output": "labels+confidence", "calibration": streets_root, "batch": 2}
    return export(calibrated, out, formats, ["fp32", "int8"], **options)


def test_every_format_gives_it(exported, logits, frames):
    assert len(exported) == 7
    for artifact in exported:
        segmenter, name = load(artifact.path), artifact.path.name
        assert segmenter.network.output == segmenter.metadata["output"] == "labels+confidence"
        exact = "fp32" in name
        difference = np.abs(segmenter.confidence(frames) - confidence(logits))
        assert difference.mean() < (0.002 if exact else 0.02), name
        if exact:
            assert np.quantile(difference, 0.999) < 0.004, name
        labels = segmenter.predict(frames)
        assert np.mean(labels == logits.argmax(-1)) > (0.999 if exact else 0.97), name
        parity = artifact.parity
        assert parity.confidence_difference < (0.002 if exact else 0.02)
        assert f", confidence within {parity.confidence_difference:.4f}" in str(parity)


def test_what_is_unsure_is_unknown(exported, frames):
    segmenter = load(next(a.path for a in exported if a.path.suffix == ".onnx"))
    # Of a size that is not the network's: both maps take the nearest pixel.
    large = frames[:3].repeat(2, 1).repeat(2, 2)
    labels, sure = segmenter.predict(large), segmenter.confidence(large)
    assert sure.shape == labels.shape == (3, 128, 256) and sure.dtype == np.float32
    least = float(np.median(sure))
    unknown = segmenter.predict(large, unknown_below=least)
    assert 0.3 < np.mean(unknown == 255) < 0.7
    np.testing.assert_array_equal(unknown, np.where(sure < least, 255, labels))


@pytest.mark.parametrize("stride", [1, 2, 4])
def test_of_a_size_that_is_padded_and_of_a_stride(tmp_path, stride):
    keras.utils.set_random_seed(0)
    model = Tiny(5, (None, None, 3))
    save_model(model, tmp_path / "m.keras", numbered_classes(5), (40, 72))
    options = {"output": "labels+confidence", "label_stride": stride}
    made = export(tmp_path / "m.keras", tmp_path / "out", ["litert", "onnx", "openvino"], **options)
    frames = np.random.default_rng(0).integers(0, 256, (2, 40, 72, 3), dtype=np.uint8)
    keras_sure = load(tmp_path / "m.keras").confidence(frames)
    for artifact in made:
        sure = load(artifact.path).confidence(frames)
        assert sure.shape == (2, 40, 72)
        if stride == 1:
            np.testing.assert_allclose(sure, keras_sure, atol=0.003)
        else:
            blocks = sure.reshape(2, 40 // stride, stride, 72 // stride, stride)
            assert np.ptp(blocks, axis=(2, 4)).max() == 0
            assert np.abs(sure - keras_sure).mean() < 0.01 * stride


@pytest.mark.parametrize("stride", [1, 2, 4])
def test_a_certain_network_in_litert(tmp_path, stride):
    """255 is all bits of a byte: repeating it, as LiteRT's labels are, must not spill over."""
    model = Tiny(5, (32, 64, 3))
    weights = model.get_weights()
    last = max(i for i, weight in enumerate(weights) if weight.shape == (5,))
    weights[last] = np.float32([0, 900, 0, 0, 0])
    model.set_weights(weights)
    save_model(model, tmp_path / "m.keras", numbered_classes(5), (32, 64))
    options = {"output": "labels+confidence", "label_stride": stride}
    (artifact,) = export(tmp_path / "m.keras", tmp_path / "out", ["litert"], **options)
    segmenter, frames = load(artifact.path), np.zeros((1, 32, 64, 3), np.uint8)
    assert np.all(segmenter.predict(frames) == 1) and np.all(segmenter.confidence(frames) == 1)


@pytest.mark.parametrize("way", [confidence_by_sum, confidence_by_softmax])
def test_the_graph_itself(model, frames, logits, way):
    graph = Deployment(
        model, (64, 128), 8, output="labels+confidence", temperature=TEMPERATURE
    ).graph(confidence=way)
    labels, sure = np.moveaxis(graph.run(frames), 1, 0)
    np.testing.assert_array_equal(labels, logits.argmax(-1))
    np.testing.assert_allclose(sure / 255, confidence(logits), atol=0.5 / 255 + 1e-4)
