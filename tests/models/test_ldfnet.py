from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers

from asap_tf.layers import DepthAndLuminance
from asap_tf.models.ldfnet import LDFNet, up
from asap_tf.models.operations import count_operations


@pytest.fixture(scope="module")
def model():
    return LDFNet(19, (512, 1024, 3))


def weights(model, *starts):
    found = [layer for layer in model.layers if layer.name.startswith(starts)]
    return sum(w.shape.num_elements() for layer in found for w in layer.trainable_weights)


def test_size_is_that_of_the_authors_code(model, convolutions):
    assert weights(model, "") == 2_413_309
    # Alone, the color half and the decoder are ERFNet.
    assert weights(model, "color", "decoder", "logits") == 2_064_191
    assert weights(model, "color") == 1_874_044
    assert weights(model, "depth") == 276_926
    assert weights(model, "fusion") == 72_192
    transposed = [x for x in model.layers if isinstance(x, layers.Conv2DTranspose)]
    parameters, products = convolutions(model)
    assert parameters + sum(x.count_params() for x in transposed) == 2_404_435
    assert products == pytest.approx(42.944e9, abs=5e5)

    counted = count_operations(model).multiply_accumulates
    luminance = counted.pop("luminance")
    assert luminance == 512 * 1024 * 3
    assert sum(counted.values()) - products == pytest.approx(1.065e9, abs=5e5)


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        ("color_1_gather", (256, 512, 16)),
        ("depth_1_4_gather", (256, 512, 184)),
        ("depth_2_transition_pool", (128, 256, 92)),
        ("depth_2_3_gather", (128, 256, 218)),
        ("fusion_3_add", (128, 256, 64)),
        ("depth_3_transition_pool", (64, 128, 109)),
        ("depth_3_4_gather", (64, 128, 277)),
        ("fusion_5_add", (64, 128, 128)),
        ("decoder_1_up_relu", (128, 256, 64)),
        ("decoder_2_up_relu", (256, 512, 16)),
    ],
)
def test_maps_are_the_published_ones(model, layer, shape):
    assert model.get_layer(layer).output.shape[1:] == shape


def test_holes_are_the_published_ones(model):
    def dilations(pattern, count):
        found = [model.get_layer(pattern.format(i)) for i in range(1, count + 1)]
        return [max(layer.dilation_rate) for layer in found]

    assert dilations("color_2_{}_2_vertical", 5) == [1] * 5
    assert dilations("color_3_{}_2_vertical", 8) == [2, 4, 8, 16] * 2
    assert dilations("color_3_{}_2_horizontal", 8) == [2, 4, 8, 16] * 2
    assert dilations("color_3_{}_1_vertical", 8) == [1] * 8
    assert dilations("depth_1_{}_conv", 4) == [1, 1, 2, 2]
    assert dilations("depth_3_{}_conv", 4) == [2, 4, 8, 16]


def test_depth_is_zero_and_luminance_opencvs():
    import cv2

    frames = np.random.default_rng(0).uniform(size=(1, 4, 5, 3)).astype("float32")
    depth, luminance = np.moveaxis(np.asarray(DepthAndLuminance()(frames)), -1, 0)
    assert not depth.any()
    expected = cv2.cvtColor(frames[0], cv2.COLOR_RGB2GRAY)
    np.testing.assert_allclose(luminance[0], expected, atol=1e-5)


def test_enlarging_is_pytorchs():
    """`ConvTranspose2d(3, 2, 3, stride=2, padding=1, output_padding=1)`, by its definition."""
    rng = np.random.default_rng(0)
    x, kernel = rng.normal(size=(1, 2, 3, 3)), rng.normal(size=(3, 3, 2, 3))
    inputs = keras.Input(x.shape[1:])
    whole = keras.Model(inputs, up(inputs, 2, "x"))
    whole.get_layer("x_up_conv").set_weights([kernel, np.zeros(2)])
    cropped = keras.Model(inputs, whole.get_layer("x_up_crop").output)
    expected = np.zeros((1, 6, 8, 2))
    for row in range(2):
        for column in range(3):
            given = np.einsum("yxoi,i->yxo", kernel, x[0, row, column])
            expected[0, 2 * row : 2 * row + 3, 2 * column : 2 * column + 3] += given
    np.testing.assert_allclose(cropped(x.astype("float32")), expected[:, 1:5, 1:7], atol=1e-5)
