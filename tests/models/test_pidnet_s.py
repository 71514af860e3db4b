from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers

from asap_tf.models.pidnet_s import PIDNetS, boundary_attention, pixel_attention


@pytest.fixture(scope="module")
def full_size():
    return PIDNetS(19, (512, 1024, 3))


def test_size_is_the_published_one(full_size, convolutions):
    parameters, products = convolutions(full_size)
    assert parameters == pytest.approx(7.6e6, rel=0.002)
    assert products == pytest.approx(11.8e9, rel=0.001)


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        ("backbone_layer1_relu", (128, 256, 32)),
        ("backbone_layer2_relu", (64, 128, 64)),
        ("backbone_layer3_relu", (32, 64, 128)),
        ("backbone_layer4_relu", (16, 32, 256)),
        ("backbone_layer5_1_add", (8, 16, 512)),
        ("fusion_pag3_relu", (64, 128, 64)),
        ("fusion_pag4_relu", (64, 128, 64)),
        ("fusion_pag3_dot", (64, 128, 1)),
        ("boundary_diff3_relu", (64, 128, 32)),
        ("boundary_diff4_relu", (64, 128, 64)),
        ("detail_layer5_add", (64, 128, 128)),
        ("boundary_layer5_add", (64, 128, 128)),
        ("context_gather", (8, 16, 5 * 96)),
        ("context_add", (8, 16, 128)),
        ("fusion_bag_add", (64, 128, 128)),
        ("logits_block_conv", (64, 128, 128)),
    ],
)
def test_maps_are_the_published_ones(full_size, layer, shape):
    assert full_size.get_layer(layer).output.shape[1:] == shape


@pytest.mark.parametrize(
    ("branch", "convs"),
    [
        # The stem; stages of 2, 2, 3 and 3 basic blocks; two bottlenecks.
        ("backbone", 2 + 2 * (2 + 2 + 3 + 3) + 2 * 3),
        # Two stages of 2 basic blocks; a bottleneck.
        ("detail", 2 * (2 + 2) + 3),
        # A basic block, two bottlenecks, and a convolution of each map of the I branch.
        ("boundary", 2 + 2 * 3 + 2),
    ],
)
def test_branches_are_as_deep_as_published(full_size, branch, convs):
    names = [layer.name for layer in full_size.layers if isinstance(layer, layers.Conv2D)]
    assert sum(n.startswith(branch) and "shortcut" not in n for n in names) == convs


def test_pixel_attention_takes_as_much_as_both_agree():
    p, i = keras.Input((8, 8, 64)), keras.Input((4, 4, 128))
    model = keras.Model([p, i], pixel_attention(p, i, 2, "pag"))
    keras.utils.set_random_seed(0)
    x, y = (keras.random.normal((1, *t.shape[1:])) for t in (p, i))
    parts = ("pag_key_bn", "pag_query_up", "pag_up")
    parts = keras.Model([p, i], [model.get_layer(n).output for n in parts])
    key, query, up = (np.asarray(part) for part in parts([x, y]))
    share = 1 / (1 + np.exp(-(key * query).sum(-1, keepdims=True)))
    np.testing.assert_allclose(model([x, y]), (1 - share) * x + share * up, atol=1e-5)


@pytest.mark.parametrize(
    ("edge", "into_p", "into_i"), [(1e4, (1, 0), (1, 1)), (-1e4, (1, 1), (0, 1))]
)
def test_boundaries_take_detail_and_the_rest_takes_context(edge, into_p, into_i):
    inputs = [keras.Input((2, 2, 128)) for _ in range(3)]
    model = keras.Model(inputs, boundary_attention(*inputs))
    mixed = keras.Model(inputs, [model.get_layer(f"fusion_bag_{x}").output for x in "pi"])
    p, i = np.random.default_rng(0).normal(size=(2, 1, 2, 2, 128)).astype("float32")
    for actual, (a, b) in zip(mixed([p, i, np.full_like(p, edge)]), (into_p, into_i), strict=True):
        np.testing.assert_allclose(actual, a * p + b * i, atol=1e-5)
