from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers

from asap_tf.export.graph import rewritten_network
from asap_tf.export.rewrites.batch_norm import fold_batch_norms
from asap_tf.export.rewrites.stem import (
    CenteredFrames,
    SpaceToDepthStem,
    fold_normalization,
    space_to_depth_stem,
)
from asap_tf.layers.blocks import batch_norm, conv
from asap_tf.layers.resize import Upsample


@pytest.mark.parametrize(("kernel", "padding"), [(7, 3), (3, 1), (5, 2)])
def test_space_to_depth_stem_is_the_same_function(randomized, kernel, padding):
    frames = keras.Input((32, 64, 3), batch_size=1)
    x = layers.Rescaling([0.01, 0.02, 0.03], [-1.0, -2.0, -0.5])(frames)
    x = conv(x, 8, kernel, 2, "stem")
    model = randomized(keras.Model(frames, layers.Activation("linear", name="logits")(x)))
    rewritten = rewritten_network(model, (32, 64), 1, (fold_normalization, space_to_depth_stem))
    assert any(type(layer).__name__ == "SpaceToDepthStem" for layer in rewritten.layers)
    pixels = np.random.default_rng(0).integers(0, 256, (1, 32, 64, 3)).astype("float32")
    expected = np.asarray(model(pixels))
    # The frame's edge above all: padding means black there, but the mean after normalization.
    np.testing.assert_allclose(rewritten(pixels), expected, atol=1e-5 * abs(expected).max())


@pytest.mark.parametrize("use_bias", [False, True])
@pytest.mark.parametrize("padding", [None, 3])
def test_fold_normalization(network, both, use_bias, padding):
    scale, offset = [1 / 58, 1 / 57, 1 / 55], [-2.1, -2.0, -1.8]
    model = network(
        layers.Rescaling(scale, offset),
        *([layers.ZeroPadding2D(padding)] if padding else []),
        layers.Conv2D(4, 7, 2, padding="valid" if padding else "same", use_bias=use_bias),
    )
    plain, rewritten, twin = both(model, fold_normalization)
    np.testing.assert_allclose(rewritten, plain, atol=1e-4)
    kinds = [type(layer) for layer in twin.layers]
    assert CenteredFrames in kinds and layers.Rescaling not in kinds


def test_one_scale_for_all_channels_and_no_convolution(network, both):
    plain, rewritten, _ = both(
        network(layers.Rescaling(1 / 64, -2), layers.Conv2D(4, 3)), fold_normalization
    )
    np.testing.assert_allclose(rewritten, plain, atol=1e-4)
    model = network(layers.Rescaling(1 / 64, -2), layers.DepthwiseConv2D(3))
    assert fold_normalization(model, {}) == {}


def branches(*ends):
    """Normalized frames into a layer each, and those side by side."""
    frames = keras.Input((None, None, 3))
    x = layers.Rescaling([1 / 58, 1 / 57, 1 / 55], [-2.1, -2.0, -1.8])(frames)
    return keras.Model(frames, layers.Concatenate(name="logits")([end(x) for end in ends]))


def strided(name):
    return lambda x: batch_norm(f"{name}_bn")(conv(x, 4, 3, 2, name))


def test_several_branches_share_the_frames(randomized, both):
    def half(x):
        return Upsample(2)(strided("half")(layers.AveragePooling2D(2)(x)))

    model = randomized(branches(strided("first"), strided("second"), half))
    rewrites = (fold_batch_norms, fold_normalization, space_to_depth_stem)
    plain, rewritten, twin = both(model, *rewrites)
    np.testing.assert_allclose(rewritten, plain, atol=1e-4 * abs(plain).max())
    kinds = [type(layer) for layer in twin.layers]
    assert kinds.count(SpaceToDepthStem) == 2 and kinds.count(CenteredFrames) == 1
    assert not {layers.Rescaling, layers.BatchNormalization} & {*kinds}


def test_a_branch_that_needs_the_scale_keeps_it_for_all():
    model = branches(layers.Conv2D(4, 1), layers.Activation("relu"))
    assert fold_normalization(model, {}) == {}


@pytest.mark.parametrize(
    "stack",
    [
        (layers.ZeroPadding2D(1), layers.Conv2D(4, 3)),
        (layers.ZeroPadding2D(1), layers.Conv2D(4, 5, 2)),
        (layers.ZeroPadding2D(((1, 0), (1, 0))), layers.Conv2D(4, 3, 2)),
        (layers.ZeroPadding2D(1), layers.Conv2D(4, 3, 2, activation="relu")),
        (layers.ZeroPadding2D(1), layers.DepthwiseConv2D(3, 2)),
        (layers.ZeroPadding2D(1), layers.MaxPooling2D(3, 2)),
        (layers.Conv2D(4, 3, 2),),
    ],
)
def test_other_stems_stay(network, stack):
    assert space_to_depth_stem(network(layers.Rescaling(1 / 64, -2), *stack), {}) == {}
