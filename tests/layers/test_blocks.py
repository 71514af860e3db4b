from __future__ import annotations

import cv2
import keras
import numpy as np
import pytest

from asap_tf.layers.blocks import BatchNormalization, Conv2D, PixelDot, conv, resample
from asap_tf.layers.resize import AlignedResize, ResizeLike, Upsample, aligned_weights


def apply(function, x):
    inputs = keras.Input(x.shape[1:])
    return np.asarray(keras.Model(inputs, function(inputs))(x))


@pytest.mark.parametrize(("stride", "new_stride"), [(4, 8), (8, 8), (16, 8), (32, 8), (32, 4)])
def test_resample_equals_opencv(stride, new_stride):
    x = np.random.default_rng(0).normal(size=(1, 8, 12, 2)).astype("float32")
    y = apply(lambda t: resample(t, stride, new_stride, "r"), x)
    size = (12 * stride // new_stride, 8 * stride // new_stride)
    np.testing.assert_allclose(y[0], cv2.resize(x[0], size), atol=1e-5)


def test_strided_convolution_is_padded_on_both_sides():
    x = np.zeros((1, 4, 4, 1), "float32")
    x[0, 0, 0, 0] = 1
    inputs = keras.Input(x.shape[1:])
    model = keras.Model(inputs, conv(inputs, 1, 3, 2, "c"))
    model.get_layer("c").set_weights([np.arange(9, dtype="float32").reshape(3, 3, 1, 1)])
    # Padded by one all around, the corner pixel lies under the kernel's center.
    assert np.asarray(model(x))[0, 0, 0, 0] == 4


@pytest.mark.parametrize("kernel", [3, 7])
def test_convolution_at_stride_1_is_padded_on_both_sides(kernel):
    x = np.random.default_rng(0).normal(size=(1, 9, 12, 1)).astype("float32")
    weights = np.random.default_rng(1).normal(size=(kernel, kernel)).astype("float32")
    inputs = keras.Input(x.shape[1:])
    model = keras.Model(inputs, conv(inputs, 1, kernel, 1, "c"))
    model.get_layer("c").set_weights([weights[..., None, None]])
    expected = cv2.filter2D(x[0, ..., 0], -1, weights, borderType=cv2.BORDER_CONSTANT)
    np.testing.assert_allclose(model(x)[0, ..., 0], expected, atol=1e-5)


@pytest.mark.parametrize("bias", [False, True])
def test_strided_pointwise_convolution_trains_as_in_numpy(bias, round_trip):
    import tensorflow as tf

    rng = np.random.default_rng(0)
    x, upstream = rng.normal(size=(2, 5, 8, 3)), rng.normal(size=(2, 3, 4, 6))
    x, upstream = x.astype("float32"), upstream.astype("float32")
    layer = Conv2D(6, 1, 2, use_bias=bias, activation="tanh")
    layer.build(x.shape)
    for weight in layer.weights:
        weight.assign(rng.normal(size=weight.shape))
    kernel, offset = np.asarray(layer.kernel)[0, 0], np.asarray(layer.bias) if bias else 0
    with tf.GradientTape() as tape:
        y = layer(x, training=True)
    gradients = tape.gradient(y, layer.trainable_variables, upstream)

    expected = np.tanh(x[:, ::2, ::2] @ kernel + offset)
    slope = upstream * (1 - expected**2)
    for trained in (y, layer(x)):
        np.testing.assert_allclose(trained, expected, atol=1e-5)
    of_kernel = np.einsum("nhwi,nhwo->io", x[:, ::2, ::2], slope)
    np.testing.assert_allclose(gradients[0][0, 0], of_kernel, atol=1e-4)
    if bias:
        np.testing.assert_allclose(gradients[1], slope.sum((0, 1, 2)), atol=1e-4)
    np.testing.assert_array_equal(*round_trip(Conv2D(6, 1, 2, use_bias=bias), (5, 8, 3)))


def trained_once(kind, policy, x, upstream):
    """Output, gradients and running statistics of one step of a BatchNorm."""
    import tensorflow as tf

    layer = kind(momentum=0.9, epsilon=1e-5, dtype=policy)
    layer.build(x.shape)
    rng = np.random.default_rng(1)
    layer.gamma.assign(rng.uniform(0.5, 1.5, x.shape[-1]))
    layer.beta.assign(rng.uniform(-1, 1, x.shape[-1]))
    x = tf.constant(x)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = layer(x, training=True)
    watched = [x, layer.gamma.value, layer.beta.value]
    gradients = tape.gradient(y, watched, tf.cast(upstream, y.dtype))
    tensors = [y, *gradients, layer.moving_mean, layer.moving_variance]
    return [np.asarray(keras.ops.cast(t, "float32")) for t in tensors]


@pytest.mark.parametrize("shape", [(2, 6, 10, 5), (3, 1, 8, 4), (1, 1, 1, 3)])
@pytest.mark.parametrize(("policy", "tolerance"), [("float32", 1e-4), ("mixed_bfloat16", 2e-2)])
def test_batch_norm_trains_as_keras_own(shape, policy, tolerance):
    rng = np.random.default_rng(0)
    x, upstream = (rng.normal(m, 2, shape).astype("float32") for m in (3, 0))
    ours = trained_once(BatchNormalization, policy, x, upstream)
    theirs = trained_once(keras.layers.BatchNormalization, policy, x, upstream)
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(one, other, rtol=tolerance, atol=tolerance)


def test_batch_norm_of_float16s_largest_numbers():
    x = np.random.default_rng(0).uniform(-65504, 65504, (2, 6, 10, 5)).astype("float16")
    y, slope, *_, mean, variance = trained_once(
        BatchNormalization, "mixed_float16", x, np.ones(x.shape)
    )
    wide = x.astype("float64")
    rng = np.random.default_rng(1)
    gamma, beta = rng.uniform(0.5, 1.5, 5), rng.uniform(-1, 1, 5)
    expected = (wide - wide.mean((0, 1, 2))) / wide.std((0, 1, 2)) * gamma + beta
    np.testing.assert_allclose(y, expected, rtol=1e-2, atol=1e-2)
    np.testing.assert_allclose(mean, wide.mean((0, 1, 2)) / 10, rtol=1e-3)
    np.testing.assert_allclose(variance, 0.9 + wide.var((0, 1, 2)) / 10, rtol=1e-3)
    assert np.isfinite(slope).all()


def test_batch_norm_uses_what_it_has_learned(round_trip):
    np.testing.assert_array_equal(*round_trip(BatchNormalization(), (4, 5, 6)))
    x = np.random.default_rng(0).normal(3, 2, (2, 4, 5, 6)).astype("float32")
    layer = BatchNormalization(epsilon=1e-5)
    layer.build(x.shape)
    mean, variance = np.arange(6.0), np.arange(1.0, 7.0)
    layer.moving_mean.assign(mean)
    layer.moving_variance.assign(variance)
    expected = (x - mean) / np.sqrt(variance + 1e-5)
    np.testing.assert_allclose(layer(x, training=False), expected, atol=1e-5)
    layer.trainable = False
    np.testing.assert_allclose(layer(x, training=True), expected, atol=1e-5)
    np.testing.assert_array_equal(layer.moving_mean, mean)


def test_upsample_of_a_size_known_only_at_run_time():
    import tensorflow as tf

    layer = Upsample(4)
    x = np.random.default_rng(0).normal(size=(1, 3, 5, 2)).astype("float32")
    traced = tf.function(layer, input_signature=[tf.TensorSpec((None, None, None, 2))])
    np.testing.assert_allclose(traced(x)[0], cv2.resize(x[0], (20, 12)), atol=1e-5)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_upsample_trains_in_half_precision_under_xla(policy):
    import tensorflow as tf

    layer = Upsample(2, dtype=policy)

    @tf.function(jit_compile=True)
    def gradient(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = layer(x)[:, ::2, ::2] + x
        return tape.gradient(y, x)

    x = tf.ones((1, 4, 6, 2), layer.compute_dtype)
    # A pixel's weights add up to 4 over the enlarged map, and to 1 over every fourth pixel of it.
    np.testing.assert_allclose(gradient(x)[0, 1:-1, 1:-1], 2, rtol=1e-2)


def test_upsample_loads_with_keras(round_trip):
    np.testing.assert_array_equal(*round_trip(Upsample(3), (4, 5, 2)))


@pytest.mark.parametrize(
    ("size", "new"), [((2, 3), (8, 5)), ((1, 4), (3, 1)), ((5, 7), (2, 3)), ((4, 4), (4, 4))]
)
def test_aligned_resize_interpolates_between_the_corners(size, new):
    x = np.random.default_rng(0).normal(size=(2, *size, 3)).astype("float32")
    expected = x
    for axis in (1, 2):
        old, places = x.shape[axis], np.linspace(0, x.shape[axis] - 1, new[axis - 1])
        expected = np.apply_along_axis(
            lambda line, old=old, at=places: np.interp(at, np.arange(old), line), axis, expected
        )
    like = np.zeros((2, *new, 1), "float32")
    np.testing.assert_allclose(AlignedResize()([x, like]), expected, atol=1e-5)
    # What other backends take.
    rows, columns = (aligned_weights(n, m) for n, m in zip(new, size, strict=True))
    np.testing.assert_allclose(np.einsum("yh,xw,nhwc->nyxc", rows, columns, x), expected, atol=1e-5)


def test_aligned_resize_by_a_ratio_of_any_size(round_trip):
    x = np.random.default_rng(0).normal(size=(2, 5, 1, 3)).astype("float32")
    for layer, size in ((AlignedResize(divisor=2), (2, 1)), (AlignedResize(8), (40, 8))):
        inputs = keras.Input((None, None, 3))
        model = keras.Model(inputs, layer(inputs))
        known = layer(x)
        assert model.output.shape == (None, None, None, 3)
        assert layer.compute_output_shape(x.shape) == known.shape == (2, *size, 3)
        np.testing.assert_allclose(model.predict(x, verbose=0), known, atol=1e-6)
        np.testing.assert_array_equal(*round_trip(layer, (5, 4, 3)))


def test_resize_like_equals_opencv_where_sizes_are_in_no_whole_ratio():
    rng = np.random.default_rng(0)
    x, like = (rng.normal(size=(2, *s)).astype("float32") for s in ((2, 3, 4), (12, 20, 1)))
    y = np.asarray(ResizeLike()([x, like]))
    np.testing.assert_allclose(y[1], cv2.resize(x[1], (20, 12)), atol=1e-5)
    # Down as well: sampled, not averaged, on every backend.
    y = np.asarray(ResizeLike()([like, x]))
    np.testing.assert_allclose(y[1, ..., 0], cv2.resize(like[1], (3, 2)), atol=1e-5)


def test_resize_like_keeps_the_sizes_that_are_known():
    coarse, fine = keras.Input((2, 3, 4)), keras.Input((12, None, 7))
    assert ResizeLike()([coarse, fine]).shape == (None, 12, None, 4)


def test_resize_like_of_a_size_known_only_at_run_time():
    import tensorflow as tf

    rng = np.random.default_rng(0)
    x, like = (rng.normal(size=(1, *s)).astype("float32") for s in ((2, 3, 2), (7, 9, 1)))
    specs = [[tf.TensorSpec((None, None, None, c)) for c in (2, 1)]]
    traced = tf.function(ResizeLike(), input_signature=specs)
    np.testing.assert_allclose(traced([x, like])[0], cv2.resize(x[0], (9, 7)), atol=1e-5)


def test_resize_like_loads_with_keras(round_trip):
    np.testing.assert_array_equal(*round_trip(ResizeLike(), (2, 3, 4), (5, 8, 1)))


def test_pixel_dot_is_the_scalar_product_at_each_position(round_trip):
    x, y = np.random.default_rng(0).normal(size=(2, 1, 3, 4, 5)).astype("float32")
    expected = np.einsum("nhwc,nhwc->nhw", x, y)[..., np.newaxis]
    np.testing.assert_allclose(PixelDot()([x, y]), expected, atol=1e-5)
    np.testing.assert_array_equal(*round_trip(PixelDot(), (3, 4, 5), (3, 4, 5)))
