"""Tests of resizing by a whole factor in training."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from asap_tf import ASAPNet
from asap_tf.layers.resize import Upsample


@pytest.mark.parametrize(
    ("shape", "factor", "dtype"),
    [
        ((2, 5, 7, 3), 4, "float32"),
        ((1, 1, 1, 2), 2, "float32"),
        ((2, 3, 1, 4), 3, "float32"),
        ((1, 3, 2, 2), 32, "float32"),
        ((2, 4, 6, 4), 8, "bfloat16"),
    ],
)
def test_gradient_in_training_is_that_of_tensorflows_resizing(shape, factor, dtype):
    rng = np.random.default_rng(0)
    x = tf.constant(rng.normal(size=shape), dtype)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(x)
        quick = Upsample(factor, dtype=dtype)(x, training=True)
        plain = tf.cast(tf.image.resize(x, quick.shape[1:3]), dtype)
    np.testing.assert_array_equal(quick, plain)
    upstream = tf.constant(rng.normal(size=quick.shape), dtype)
    gradients = [tape.gradient(y, x, output_gradients=upstream) for y in (quick, plain)]
    assert gradients[0].dtype == x.dtype
    np.testing.assert_allclose(*(tf.cast(g, "float32") for g in gradients), rtol=1e-4, atol=1e-3)


def test_trains_at_a_size_known_only_at_run_time():
    @tf.function(input_signature=[tf.TensorSpec((None, None, None, 2))])
    def gradient(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = Upsample(2)(x, training=True)
        return tape.gradient(y, x)

    np.testing.assert_allclose(gradient(tf.ones((1, 3, 4, 2))), np.full((1, 3, 4, 2), 4.0))


@pytest.mark.filterwarnings("ignore:Layer .* does not have a `quantize` method")
def test_a_saved_model_is_quantized_by_keras(tmp_path):
    model = ASAPNet(5, (32, 64, 3), width=0.125)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    loaded.quantize("int8")
    frame = np.zeros((1, 32, 64, 3), "float32")
    np.testing.assert_allclose(loaded(frame), model(frame), atol=1e-3)
