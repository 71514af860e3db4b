from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from asap_tf.export.graph import rewritten_network
from asap_tf.export.rewrites.labels import (
    logits_of_stride,
    repeat_as_bytes,
    repeat_by_joining,
    repeat_by_maximum,
)
from asap_tf.layers.resize import Upsample


@pytest.mark.parametrize(("stride", "height"), [(1, 64), (2, 32), (8, 8)])
def test_logits_of_a_stride(stride, height):
    frames = keras.Input((32, 64, 3), name="frames")
    model = keras.Model(frames, Upsample(8, name="logits")(Upsample(2, name="half")(frames)))
    twin = rewritten_network(model, (32, 64), 1, (logits_of_stride(stride),))
    assert twin.output.shape[1] == 8 * height
    assert twin.get_layer("half").factor == 2


@pytest.mark.parametrize("repeat", [repeat_by_joining, repeat_as_bytes, repeat_by_maximum])
@pytest.mark.parametrize("stride", [2, 3, 4])
def test_labels_are_repeated(repeat, stride):
    labels = np.random.default_rng(0).integers(0, 256, (2, 4, 6)).astype("int32")
    repeated = repeat(tf.constant(labels), stride)
    np.testing.assert_array_equal(repeated, labels.repeat(stride, 1).repeat(stride, 2))
