from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers

from asap_tf.models.blocks import pyramid_pooling
from asap_tf.models.ddrnet_23_slim import DDRNet23Slim


@pytest.fixture(scope="module")
def full_size():
    return DDRNet23Slim(19, (512, 1024, 3))


def test_size_is_the_published_one(full_size, convolutions):
    parameters, products = convolutions(full_size)
    assert parameters == pytest.approx(5.68e6, rel=0.002)
    assert products == pytest.approx(9.07e9, rel=0.001)


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        ("backbone_layer1_relu", (128, 256, 32)),
        ("backbone_layer2_relu", (64, 128, 64)),
        ("fusion_3_low_relu", (32, 64, 128)),
        ("fusion_3_high_relu", (64, 128, 64)),
        ("fusion_4_low_relu", (16, 32, 256)),
        ("fusion_4_high_relu", (64, 128, 64)),
        ("backbone_layer5_add", (8, 16, 512)),
        ("detail_layer5_add", (64, 128, 128)),
        # The pyramid halves stride 64 once, twice and three times, down to one position.
        ("context_pool1", (4, 8, 512)),
        ("context_pool2", (2, 4, 512)),
        ("context_pool3", (1, 2, 512)),
        ("context_pool4", (1, 1, 512)),
        ("context_gather", (8, 16, 5 * 128)),
        ("context_add", (8, 16, 128)),
        ("logits_block_conv", (64, 128, 64)),
    ],
)
def test_maps_are_the_published_ones(full_size, layer, shape):
    assert full_size.get_layer(layer).output.shape[1:] == shape


@pytest.mark.parametrize(
    ("branch", "convs"),
    [
        # The stem; four stages of 2 basic blocks; a bottleneck.
        ("backbone", 2 + 4 * 2 * 2 + 3),
        # Two stages of 2 basic blocks; a bottleneck.
        ("detail", 2 * 2 * 2 + 3),
        # Down once, then twice; up each time.
        ("fusion", 1 + 2 + 1 + 1),
    ],
)
def test_branches_are_as_deep_as_published(full_size, branch, convs):
    names = [layer.name for layer in full_size.layers if isinstance(layer, layers.Conv2D)]
    assert sum(n.startswith(branch) and "shortcut" not in n for n in names) == convs


def test_the_pyramid_is_a_cascade():
    inputs = keras.Input((4, 4, 8))
    depths = {}
    for cascaded in (True, False):
        model = keras.Model(inputs, pyramid_pooling(inputs, 4, 6, cascaded))
        upstream = keras.Model(inputs, model.get_layer("context_process4_conv").output)
        convs = [x.name for x in upstream.layers if isinstance(x, layers.Conv2D)]
        depths[cascaded] = sum("process" in name for name in convs)
        assert model.output.shape == (None, 4, 4, 6)
    assert depths == {True: 4, False: 1}


def test_zeros_around_the_map_count_into_the_means():
    inputs = keras.Input((4, 4, 8))
    model = keras.Model(inputs, pyramid_pooling(inputs, 4, 6, cascaded=True))
    pool = keras.Model(inputs, model.get_layer("context_pool1").output)
    # Of the 5 x 5 around the corner, 3 x 3 are on the map.
    assert np.asarray(pool(np.ones((1, 4, 4, 8))))[0, 0, 0, 0] == pytest.approx(9 / 25)
