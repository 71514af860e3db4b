from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from asap_tf.export.graph import rewritten_network
from asap_tf.export.rewrites.labels import (
    logits_of_stride,
    repeat_as_bytes,
    repeat_by_joining,
    repeat_by_maximum,
)
from asap_tf.export.rewrites.upsampling import PlanarUpsample, planar_logits
from asap_tf.layers.resize import Upsample


def network(end):
    frames = keras.Input((32, 64, 3), name="frames")
    return keras.Model(frames, end(Upsample(2, name="half")(frames)))


@pytest.mark.parametrize(("stride", "factor"), [(1, 8), (2, 4), (8, None)])
def test_only_the_last_resizing_goes_channel_by_channel(stride, factor):
    model = network(Upsample(8, name="logits"))
    twin = rewritten_network(model, (32, 64), 1, (logits_of_stride(stride), planar_logits))
    found = [layer.factor for layer in twin.layers if isinstance(layer, PlanarUpsample)]
    assert found == ([factor] if factor else [])
    assert type(twin.get_layer("half")) is Upsample


def test_logits_that_are_not_resized_stay():
    assert planar_logits(network(layers.Identity(name="logits")), {}) == {}


@pytest.mark.parametrize("repeat", [repeat_by_joining, repeat_as_bytes, repeat_by_maximum])
@pytest.mark.parametrize("stride", [2, 3, 4])
def test_labels_are_repeated(repeat, stride):
    labels = np.random.default_rng(0).integers(0, 256, (2, 4, 6)).astype("int32")
    repeated = repeat(tf.constant(labels), stride)
    np.testing.assert_array_equal(repeated, labels.repeat(stride, 1).repeat(stride, 2))
