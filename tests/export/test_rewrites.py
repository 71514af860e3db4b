from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers, ops

from asap_tf.export import litert
from asap_tf.export.entrance import (
    CentredFrames,
    OddMapPooling,
    SpaceToDepthStem,
    fold_normalization,
    pad_in_pooling,
    pool_odd_maps,
    space_to_depth_stem,
)
from asap_tf.export.graph import deployed_network
from asap_tf.export.rewrites import (
    NormsWithAttention,
    depthwise_pooling,
    fold_batch_norms,
    folded_conv,
    norms_with_attention,
    pooled_pyramid,
    two_pass_norms,
)
from asap_tf.layers import FFDN, SimplePyramid, StripAttention
from asap_tf.layers.blocks import Upsample, batch_norm, conv


def randomized(layer, seed=0):
    rng = np.random.default_rng(seed)
    for variable in layer.variables:
        variable.assign(rng.uniform(0.5, 1.5, variable.shape))
    return layer


@pytest.mark.parametrize("use_bias", [False, True])
@pytest.mark.parametrize(
    "kind",
    [
        lambda use_bias: layers.Conv2D(6, 3, use_bias=use_bias),
        lambda use_bias: layers.Conv2D(6, 3, groups=2, use_bias=use_bias),
        lambda use_bias: layers.DepthwiseConv2D(3, depth_multiplier=3, use_bias=use_bias),
    ],
    ids=["conv", "grouped", "depthwise"],
)
def test_folded_conv(kind, use_bias):
    x = np.random.default_rng(1).normal(size=(2, 8, 8, 4)).astype("float32")
    before, norm = kind(use_bias), layers.BatchNormalization()
    norm(before(x))
    randomized(before), randomized(norm, 1)
    expected = norm(before(x), training=False)
    np.testing.assert_allclose(folded_conv(before, norm)(x), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("kernel", "padding"), [(7, 3), (3, 1), (5, 2)])
def test_space_to_depth_stem_is_the_same_function(kernel, padding):
    frames = keras.Input((32, 64, 3), batch_size=1)
    x = layers.Rescaling([0.01, 0.02, 0.03], [-1.0, -2.0, -0.5])(frames)
    x = conv(x, 8, kernel, 2, "stem")
    model = randomized(keras.Model(frames, layers.Activation("linear", name="logits")(x)))
    rewritten = deployed_network(model, (32, 64), 1, (fold_normalization, space_to_depth_stem))
    assert any(type(layer).__name__ == "SpaceToDepthStem" for layer in rewritten.layers)
    pixels = np.random.default_rng(0).integers(0, 256, (1, 32, 64, 3)).astype("float32")
    expected = np.asarray(model(pixels))
    # The frame's edge above all: padding means black there, but the mean after normalisation.
    np.testing.assert_allclose(rewritten(pixels), expected, atol=1e-5 * abs(expected).max())


@pytest.mark.parametrize(("pool", "strides"), [(2, 2), (3, 2), ((4, 2), 2), (3, 1)])
def test_depthwise_pooling_is_the_mean(pool, strides):
    plain, rewritten, twin = both(
        network(layers.AveragePooling2D(pool, strides)), depthwise_pooling
    )
    np.testing.assert_allclose(rewritten, plain, rtol=1e-5)
    assert layers.AveragePooling2D not in map(type, twin.layers)


@pytest.mark.parametrize("options", [{"strides": (2, 1)}, {"strides": 2, "padding": "same"}])
def test_other_mean_pooling_stays(options):
    assert depthwise_pooling(network(layers.AveragePooling2D(3, **options)), {}) == {}


def pyramid_network(*pooling):
    """A pyramid on three maps, the finest of which goes through `pooling`."""
    frames = keras.Input((None, None, 3), name="frames")
    maps = [layers.Conv2D(4 + i, 1, 2**i)(frames) for i in range(3)]
    levels = SimplePyramid(6, name="pyramid")(maps)
    for layer in pooling:
        levels[0] = layer(levels[0])
    means = [layers.GlobalAveragePooling2D(keepdims=True)(level) for level in levels[1:]]
    model = keras.Model(frames, layers.Add(name="logits")([levels[0], *means]))
    rng = np.random.default_rng(0)
    model.set_weights([rng.normal(size=w.shape) for w in model.get_weights()])
    return model


def test_pooled_pyramid():
    plain, rewritten, twin = both(pyramid_network(layers.AveragePooling2D(2)), pooled_pyramid)
    # Borders above all: what is doubled in size repeats its edge there.
    np.testing.assert_allclose(rewritten, plain, rtol=1e-4, atol=1e-5 * abs(plain).max())
    assert layers.AveragePooling2D not in map(type, twin.layers)


@pytest.mark.parametrize(
    "pooling", [(), (layers.MaxPooling2D(2),), (layers.AveragePooling2D(2, 1, "same"),)], ids=len
)
def test_other_pyramids_stay(pooling):
    assert pooled_pyramid(pyramid_network(*pooling), {}) == {}


@pytest.mark.parametrize("axis", ["vertical", "horizontal"])
@pytest.mark.parametrize("norms", ["both", "layer", "instance"])
def test_norms_with_attention(axis, norms):
    model = network(layers.Conv2D(8, 3), FFDN(8, norms), StripAttention(axis, 4))
    model.set_weights([abs(w) for w in model.get_weights()])
    plain, rewritten, twin = both(model, fold_batch_norms, norms_with_attention)
    np.testing.assert_allclose(rewritten, plain, rtol=1e-3, atol=1e-4 * abs(plain).max())
    assert NormsWithAttention in map(type, twin.layers)


@pytest.mark.parametrize(
    "stack",
    [
        (FFDN(8), StripAttention("full", 4)),
        (FFDN(8, "none"), StripAttention("vertical", 4)),
        (FFDN(8), layers.ReLU(), StripAttention("vertical", 4)),
    ],
    ids=["full", "no norm", "something between"],
)
def test_other_attention_stays(stack):
    assert norms_with_attention(network(*stack), {}) == {}


def test_attention_stays_where_the_normalised_map_is_wanted_elsewhere():
    frames = keras.Input((None, None, 3), name="frames")
    x = FFDN(8)(frames)
    logits = layers.Add(name="logits")([x, StripAttention("vertical", 4)(x)])
    assert norms_with_attention(keras.Model(frames, logits), {}) == {}


@pytest.mark.parametrize("norms", ["both", "layer", "instance", "none"])
def test_two_pass_norms_where_the_mean_is_large(norms):
    rng = np.random.default_rng(0)
    x = (1000 + rng.normal(size=(2, 16, 32, 8))).astype("float32")
    inputs = keras.Input((16, 32, 8))
    x_out = FFDN(8, norms, name="logits")(inputs)
    model = keras.Model(inputs, x_out)
    (stand_in,) = two_pass_norms(model, {}).values()
    y = np.asarray(model.get_layer("logits").conv(x), np.float64)
    halves = {
        "layer": (y - y.mean((1, 2, 3), keepdims=True))
        / np.sqrt(y.var((1, 2, 3), keepdims=True) + 1e-5),
        "instance": (y - y.mean((1, 2), keepdims=True))
        / np.sqrt(y.var((1, 2), keepdims=True) + 1e-5),
    }
    wanted = {"both": ("layer", "instance"), "none": ()}.get(norms, (norms,))
    expected = np.concatenate([halves[n] for n in wanted], -1) if wanted else y
    np.testing.assert_allclose(stand_in(x), expected, rtol=1e-2, atol=1e-2)


def test_all_rewrites_together_keep_the_logits(model, frames, logits):
    rewrites = litert.REWRITES
    network = deployed_network(model, (64, 128), 3, rewrites)
    result = network(frames[:3].astype("float32"))
    np.testing.assert_allclose(result, logits[:3], atol=1e-4 * abs(logits).max())


def network(*stack):
    frames = x = keras.Input((None, None, 3), name="frames")
    for layer in stack:
        x = layer(x)
    model = keras.Model(frames, layers.Identity(name="logits")(x))
    rng = np.random.default_rng(0)
    model.set_weights([rng.normal(size=w.shape) for w in model.get_weights()])
    return model


def both(model, *rewrites):
    """The answers of a model and of its rewritten twin, and the twin."""
    frames = np.random.default_rng(1).integers(0, 256, (2, 32, 64, 3)).astype("float32")
    twin = deployed_network(model, (32, 64), 2, rewrites)
    return np.asarray(model(frames)), np.asarray(twin(frames)), twin


@pytest.mark.parametrize("use_bias", [False, True])
@pytest.mark.parametrize("padding", [None, 3])
def test_fold_normalization(use_bias, padding):
    scale, offset = [1 / 58, 1 / 57, 1 / 55], [-2.1, -2.0, -1.8]
    model = network(
        layers.Rescaling(scale, offset),
        *([layers.ZeroPadding2D(padding)] if padding else []),
        layers.Conv2D(4, 7, 2, padding="valid" if padding else "same", use_bias=use_bias),
    )
    plain, rewritten, twin = both(model, fold_normalization)
    np.testing.assert_allclose(rewritten, plain, atol=1e-4)
    kinds = [type(layer) for layer in twin.layers]
    assert CentredFrames in kinds and layers.Rescaling not in kinds


def test_one_scale_for_all_channels_and_no_convolution():
    plain, rewritten, _ = both(
        network(layers.Rescaling(1 / 64, -2), layers.Conv2D(4, 3)), fold_normalization
    )
    np.testing.assert_allclose(rewritten, plain, atol=1e-4)
    model = network(layers.Rescaling(1 / 64, -2), layers.DepthwiseConv2D(3))
    assert fold_normalization(model, {}) == {}


@pytest.mark.parametrize("relu", [layers.ReLU(), layers.Activation("relu")])
def test_pad_in_pooling(relu):
    stack = (layers.Rescaling(1, -127), relu, layers.ZeroPadding2D(1), layers.MaxPooling2D(3, 2))
    plain, rewritten, twin = both(network(*stack), pad_in_pooling)
    np.testing.assert_array_equal(rewritten, plain)
    assert layers.ZeroPadding2D not in [type(layer) for layer in twin.layers]


def stem_and_pooling(pool=3, strides=2, padding=1, aside=False, activation="relu"):
    """ResNet's first layers."""
    frames = keras.Input((None, None, 3), name="frames")
    x = conv(layers.Rescaling(1 / 64, -2)(frames), 8, 7, 2, "stem")
    x = layers.Activation(activation)(batch_norm("bn")(x))
    y = layers.MaxPooling2D(pool, strides)(layers.ZeroPadding2D(padding)(x))
    if aside:
        y = layers.Concatenate()([y, layers.AveragePooling2D(2)(x)])
    model = keras.Model(frames, layers.Identity(name="logits")(y))
    rng = np.random.default_rng(0)
    for variable in model.variables:
        least = 0.1 if "variance" in variable.path else -1
        variable.assign(rng.uniform(least, 1, variable.shape))
    return model


STEM = (fold_batch_norms, fold_normalization, space_to_depth_stem, pool_odd_maps)


def test_pool_odd_maps():
    plain, rewritten, twin = both(stem_and_pooling(), *STEM)
    np.testing.assert_allclose(rewritten, plain, atol=1e-5 * abs(plain).max())
    kinds = [type(layer) for layer in twin.layers]
    assert OddMapPooling in kinds and layers.ZeroPadding2D not in kinds


@pytest.mark.parametrize(
    "options",
    [{"pool": 2}, {"strides": 1}, {"padding": 0}, {"aside": True}, {"activation": "tanh"}],
    ids=str,
)
def test_stems_that_are_followed_by_something_else(options):
    plain, rewritten, twin = both(stem_and_pooling(**options), *STEM)
    np.testing.assert_allclose(rewritten, plain, atol=1e-5 * abs(plain).max())
    assert OddMapPooling not in map(type, twin.layers)


def test_zeros_that_may_be_the_maximum_stay():
    model = network(layers.Rescaling(1, -300), layers.ZeroPadding2D(1), layers.MaxPooling2D(3, 2))
    assert pad_in_pooling(model, {}) == {}


def test_pooling_and_something_else_behind_zeros_stay():
    x = frames = keras.Input((None, None, 3))
    x = layers.ZeroPadding2D(1)(layers.ReLU()(x))
    x = layers.Concatenate(name="logits")([layers.MaxPooling2D(3, 1)(x), layers.Conv2D(2, 3)(x)])
    assert pad_in_pooling(keras.Model(frames, x), {}) == {}


@pytest.mark.parametrize(
    "stack",
    [
        (layers.ReLU(negative_slope=0.1), layers.ZeroPadding2D(1), layers.MaxPooling2D(3, 2)),
        (layers.ReLU(), layers.ZeroPadding2D(2), layers.MaxPooling2D(2)),
        (layers.ReLU(), layers.ZeroPadding2D(1), layers.MaxPooling2D(3, 2, padding="same")),
    ],
    ids=["leaky", "windows of zeros alone", "padded twice"],
)
def test_pooling_that_cannot_pad_stays(stack):
    assert pad_in_pooling(network(*stack), {}) == {}


def test_a_convolution_with_an_activation_keeps_its_batch_norm():
    model = network(layers.Conv2D(4, 3, activation="relu"), layers.BatchNormalization())
    assert fold_batch_norms(model, {}) == {}


def test_a_convolution_that_others_need_as_well_keeps_its_batch_norm():
    frames = keras.Input((None, None, 3))
    x = layers.Conv2D(4, 3)(frames)
    model = keras.Model(frames, layers.Add(name="logits")([x, layers.BatchNormalization()(x)]))
    assert fold_batch_norms(model, {}) == {}


def branches(*ends):
    """Normalised frames into a layer each, and those side by side."""
    frames = keras.Input((None, None, 3))
    x = layers.Rescaling([1 / 58, 1 / 57, 1 / 55], [-2.1, -2.0, -1.8])(frames)
    x = layers.Concatenate(name="logits")([end(x) for end in ends])
    model = keras.Model(frames, x)
    rng = np.random.default_rng(0)
    model.set_weights([rng.uniform(0.5, 1.5, w.shape) for w in model.get_weights()])
    return model


def strided(name):
    return lambda x: batch_norm(f"{name}_bn")(conv(x, 4, 3, 2, name))


def test_several_branches_share_the_frames():
    def half(x):
        return Upsample(2)(strided("half")(layers.AveragePooling2D(2)(x)))

    model = branches(strided("first"), strided("second"), half)
    rewrites = (fold_batch_norms, fold_normalization, space_to_depth_stem)
    plain, rewritten, twin = both(model, *rewrites)
    np.testing.assert_allclose(rewritten, plain, atol=1e-4 * abs(plain).max())
    kinds = [type(layer) for layer in twin.layers]
    assert kinds.count(SpaceToDepthStem) == 2 and kinds.count(CentredFrames) == 1
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
def test_other_stems_stay(stack):
    assert space_to_depth_stem(network(layers.Rescaling(1 / 64, -2), *stack), {}) == {}


def test_heads_that_only_training_needs_hold_nothing_up():
    frames = keras.Input((None, None, 3))
    x = layers.Rescaling(1 / 64, -2)(frames)
    features = layers.Conv2D(4, 3, name="features")(x)
    logits = layers.BatchNormalization(name="logits")(features)
    training = keras.Model(frames, [logits, layers.Conv2D(2, 1)(features), layers.ReLU()(x)])
    model = keras.Model(frames, logits)
    assert fold_batch_norms(training, {}) == {} == fold_normalization(training, {})
    assert {*fold_batch_norms(model, {})} == {"features", "logits"}
    assert "features" in fold_normalization(model, {})


def test_operations_between_layers_are_kept():
    frames = keras.Input((None, None, 3))
    x = layers.Conv2D(4, 3, padding="same")(frames)
    x = ops.sigmoid(ops.mean(x, axis=(1, 2), keepdims=True)) * x + x[..., :1]
    model = keras.Model(frames, layers.Identity(name="logits")(x))
    plain, rewritten, _ = both(model, *litert.REWRITES)
    np.testing.assert_allclose(rewritten, plain, rtol=1e-5)
