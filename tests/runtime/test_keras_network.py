from __future__ import annotations

import subprocess
import sys

import cv2
import keras
import numpy as np
import pytest

import asap_tf
from asap_tf.core import resize as resizing
from asap_tf.core.errors import AsapError
from asap_tf.core.labels import LabelClass
from asap_tf.runtime import Segmenter, keras_network
from asap_tf.runtime.keras_network import KerasNetwork

CLASSES = tuple(LabelClass(f"c{i}", (10 * i, 0, 255), "things", i) for i in range(3))


@pytest.fixture(scope="module")
def model():
    return asap_tf.ASAPNet(3, (None, None, 3))


def frames(*shape):
    return np.random.default_rng(0).integers(0, 256, (*shape, 3)).astype("uint8")


def test_labels_at_the_frames_own_size_are_the_argmax_of_resized_logits(model):
    x = frames(2, 90, 130)
    resized = np.stack([cv2.resize(f, (128, 64)) for f in x])
    logits = np.stack([cv2.resize(y, (130, 90)) for y in np.asarray(model(resized))])
    labels = Segmenter(KerasNetwork(model), CLASSES, (64, 128)).predict(x)
    assert labels.dtype == np.uint8 and labels.shape == (2, 90, 130)
    assert (labels == logits.argmax(-1)).mean() > 0.999


def test_labels_in_bands_are_those_at_once(model, monkeypatch):
    # Coarse: of noise nothing is left once it is shrunk.
    x = np.stack([cv2.resize(frame, (517, 333)) for frame in frames(2, 20, 30)])
    for size in ((64, 96), (352, 512)):
        segmenter = Segmenter(KerasNetwork(model), CLASSES, size)
        whole = segmenter.predict(x)
        with monkeypatch.context() as patch:
            patch.setattr(keras_network, "MOST_LOGITS", 0)
            patch.setattr(resizing, "_BAND", 10 * 517 * len(CLASSES))
            out = np.zeros_like(whole)
            assert segmenter.predict(x, out) is out
        assert len(np.unique(whole)) > 1
        np.testing.assert_array_equal(out, whole)


def test_probabilities_sum_to_one_and_agree_with_labels(model):
    x = frames(1, 64, 96)
    segmenter = Segmenter(KerasNetwork(model), CLASSES)
    probabilities = segmenter.probabilities(x)
    assert probabilities.shape == (1, 64, 96, 3)
    np.testing.assert_allclose(probabilities.sum(-1), 1, atol=1e-5)
    np.testing.assert_array_equal(probabilities.argmax(-1), segmenter.predict(x))
    assert segmenter.probabilities(x, (32, 32)).shape == (1, 64, 96, 3)


def test_file_saved_by_keras_alone_gets_numbered_classes(tmp_path):
    model = asap_tf.ASAPNet(4, (64, 96, 3), aux_heads=True)
    model.save(tmp_path / "m.keras")
    segmenter = asap_tf.load(tmp_path / "m.keras")
    assert [c.name for c in segmenter.classes] == ["class 0", "class 1", "class 2", "class 3"]
    assert len({c.color for c in segmenter.classes}) == 4
    assert segmenter.size == (64, 96)
    assert segmenter.predict(frames(1, 50, 50)).shape == (1, 50, 50)
    assert segmenter.precision == "fp32"
    without_heads = asap_tf.ASAPNet(4, (64, 96, 3)).count_params()
    assert segmenter.metadata["parameters"] == without_heads < model.count_params()


def test_foreign_models_are_refused(tmp_path):
    inputs = keras.Input((4,))
    keras.Model(inputs, keras.layers.Dense(2)(inputs)).save(tmp_path / "foreign.keras")
    with pytest.raises(AsapError, match="foreign.keras: not a segmentation network"):
        asap_tf.load(tmp_path / "foreign.keras")


def test_precision_of_a_model_saved_in_mixed_precision(tmp_path):
    inputs = keras.Input((32, 32, 3))
    conv = keras.layers.Conv2D(2, 1, dtype="mixed_bfloat16")
    keras.Model(inputs, conv(inputs)).save(tmp_path / "m.keras")
    assert asap_tf.load(tmp_path / "m.keras").precision == "mixed"


def test_threads_are_set_before_tensorflow_starts_and_not_after(tmp_path):
    inputs = keras.Input((32, 32, 3))
    keras.Model(inputs, keras.layers.Conv2D(2, 1)(inputs)).save(tmp_path / "m.keras")
    code = """
import sys, asap_tf
print(asap_tf.load(sys.argv[1], threads=1).network.runtime)
print(asap_tf.load(sys.argv[1], threads=1).network.runtime)
try:
    asap_tf.load(sys.argv[1], threads=2)
except asap_tf.core.errors.AsapError as error:
    print(error)
"""
    command = [sys.executable, "-c", code, tmp_path / "m.keras"]
    first, second, refusal = subprocess.check_output(command, text=True).splitlines()
    assert first == second and first.endswith("CPU, 1 thread")
    assert first.startswith(f"Keras {keras.__version__}, TensorFlow ")
    assert "cannot change to 2 threads once it has run something" in refusal
