from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from asap_tf.models.df1_seg import DF1Seg, backbone, doubled


@pytest.fixture(scope="module")
def model():
    return DF1Seg(19, (512, 1024, 3))


def test_size_is_that_of_the_authors_network(model, convolutions):
    parameters, products = convolutions(model)
    assert parameters == 13_095_059
    assert sum(w.shape.num_elements() for w in model.trainable_weights) == 13_107_243
    assert products == pytest.approx(10.397e9, abs=5e5)
    assert convolutions(DF1Seg(19, (None, None, 3)), (1024, 2048))[1] == pytest.approx(
        41.555e9, abs=5e5
    )


def test_the_backbone_is_the_one_of_the_published_classifier(convolutions):
    frames = keras.Input((224, 224, 3))
    model = keras.Model(frames, backbone(frames)[-1])
    assert convolutions(model)[1] == 746_217_472
    assert sum(w.shape.num_elements() for w in model.trainable_weights) == 8_020_128


def test_parts_have_the_weights_of_the_authors_network(model):
    def weights(*starts):
        found = [layer for layer in model.layers if layer.name.startswith(starts)]
        return sum(w.shape.num_elements() for layer in found for w in layer.trainable_weights)

    assert weights("backbone_conv") == 19_488
    assert [weights(f"backbone_res{i}") for i in (2, 3, 4)] == [226_176, 820_992, 6_953_472]
    assert (weights("context_level"), weights("context_conv", "context_bn")) == (263_168, 4_719_616)
    decoder = ("reduce1", "reduce2", "16_reduce", "16_conv", "reduce3", "8_reduce", "8_conv")
    found = [weights(f"decoder_{part}") for part in decoder]
    norms = [weights("decoder_16_bn"), weights("decoder_8_bn")]
    # Without the two norms, which are named after the whole step.
    assert norms == [64, 38]
    assert found == [65_792, 4_160, 4_160, 18_496 - 64, 646, 1_254, 6_536 - 38]
    assert weights("logits") == 3_287


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        ("context_pool1", (1, 2, 512)),
        ("context_pool2", (2, 4, 512)),
        ("context_pool4", (4, 8, 512)),
        ("context_pool8", (8, 16, 512)),
        ("context_gather", (16, 32, 1024)),
        ("decoder_16_gather", (32, 64, 64)),
        ("decoder_8_gather", (64, 128, 38)),
    ],
)
def test_maps_are_the_published_ones(model, layer, shape):
    assert model.get_layer(layer).output.shape[1:] == shape


def test_doubling_is_the_authors_transposed_convolution():
    x = np.random.default_rng(0).normal(size=(2, 3, 5, 4)).astype("float32")
    inputs = keras.Input(x.shape[1:])
    model = keras.Model(inputs, doubled(inputs, "double"))
    taps = np.array([0.25, 0.75, 0.75, 0.25])
    kernel = np.einsum("y,x,io->yxio", taps, taps, np.eye(4)).astype("float32")
    # "SAME" leaves out one row of each side, as their padding of 1 does.
    expected = tf.nn.conv2d_transpose(x, kernel, (2, 6, 10, 4), 2)
    np.testing.assert_allclose(model(x), expected, atol=1e-5)
