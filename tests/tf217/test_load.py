"""Models trained and exported on the newest TensorFlow, opened on 2.17."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

import asap_tf


def test_this_is_the_second_environment():
    assert tf.__version__.startswith("2.17.")


@pytest.mark.parametrize(
    "name",
    [
        "model.keras",
        "asap_fp32_saved_model",
        "asap_fp32.tflite",
        "asap_int8.tflite",
        "asap_fp32.onnx",
        "asap_int8.onnx",
        "asap_fp32.xml",
        "asap_int8.xml",
    ],
)
def test_opens_and_gives_the_same_labels(exported, name):
    stored = np.load(exported / "labels.npz")
    segmenter = asap_tf.load(exported / name)
    assert len(segmenter.classes) == 19
    agreement = np.mean(segmenter.predict(stored["frames"]) == stored[name])
    assert agreement > 0.999
