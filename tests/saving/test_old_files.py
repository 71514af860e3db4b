"""Files that earlier versions wrote open, and answer as they did."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest

import asap_tf
from asap_tf.data.images import read_image
from asap_tf.models import create_model
from asap_tf.saving import load_keras_model, preset_files, read_metadata

OLD = Path(__file__).with_name("old_files")


@pytest.fixture(scope="module")
def frame():
    return read_image(OLD / "frame.png")[None]


@pytest.fixture(scope="module")
def outputs():
    """What version 0.1 gave for the frame: `labels`, and every eighth of the `logits`."""
    return np.load(OLD / "outputs.npz")


def test_a_model_of_every_layer(frame, outputs):
    file = OLD / "model_0_1.keras"
    x = frame.astype("float32")
    # Saved with a list of one input, which Keras keeps.
    for logits in (load_keras_model(file)(x), keras.models.load_model(file)([x])):
        np.testing.assert_allclose(logits[0, ::8, ::8], outputs["logits"], atol=1e-4)
    np.testing.assert_array_equal(asap_tf.load(file).predict(frame)[0], outputs["labels"])


def test_its_tensors_have_roles():
    model = load_keras_model(OLD / "model_0_1.keras")
    assert model.logits.shape == (None, None, None, 11) and model.aux_outputs == {}
    roles = (model.backbone_outputs, model.pyramid_outputs)
    channels = [{stride: x.shape[-1] for stride, x in maps.items()} for maps in roles]
    assert channels == [{4: 4, 8: 8, 16: 8, 32: 8}, {4: 4, 8: 4, 16: 4, 32: 4}]


@pytest.mark.parametrize("name", ["asap_fp32.tflite", "asap_fp32.onnx", "asap_fp32.xml"])
def test_exports(name, frame, outputs):
    labels = asap_tf.load(OLD / "export_0_1" / name).predict(frame)[0]
    assert (labels == outputs["labels"]).mean() >= 0.999


@pytest.mark.parametrize("name", preset_files())
def test_shipped_presets(name, frame):
    model, network = asap_tf.from_preset(name), asap_tf.load(name).network
    labels = np.argmax(model(frame), -1)
    assert (network.labels(frame, frame.shape[1:3]) == labels).mean() > 0.999
    options = read_metadata(preset_files()[name])["recipe"]["model"]
    built = create_model(
        **{**options, "weights": name}, num_classes=model.output_shape[-1], input_shape=(64, 96, 3)
    )
    for other in (built, keras.models.load_model(preset_files()[name])):
        for one, two in zip(model.get_weights(), other.get_weights(), strict=True):
            np.testing.assert_array_equal(one, two)
