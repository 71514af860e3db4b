from __future__ import annotations

import keras
import numpy as np
import pytest

from asap_tf import OhemCrossEntropy


def naive(labels, logits, threshold=0.7, min_kept=1 / 16, weights=None):
    """OHEM by sorting, in float64."""
    labels, logits = labels.reshape(-1), logits.reshape(-1, logits.shape[-1]).astype(np.float64)
    valid = labels != 255
    labels, logits = labels[valid], logits[valid]
    if not len(labels):
        return 0.0
    logits = logits - logits.max(-1, keepdims=True)
    losses = -(logits - np.log(np.exp(logits).sum(-1, keepdims=True)))[range(len(labels)), labels]
    order = np.argsort(-losses, kind="stable")
    hard = int((losses > -np.log(threshold)).sum())
    chosen = order[: max(hard, int(np.ceil(min_kept * len(labels))))]
    weights = np.ones(logits.shape[-1]) if weights is None else np.asarray(weights)
    return float((losses * weights[labels])[chosen].mean())


@pytest.mark.parametrize("confidence", [0, 1, 3, 8, 30])
@pytest.mark.parametrize("ignored", [0, 0.3, 0.99])
@pytest.mark.parametrize(("threshold", "min_kept"), [(0.7, 1 / 16), (0.3, 0.5), (1.0, 1.0)])
def test_equals_sorting(confidence, ignored, threshold, min_kept):
    rng = np.random.default_rng(int(confidence * 10 + ignored * 100))
    labels = rng.integers(0, 5, (2, 24, 16)).astype("uint8")
    logits = rng.normal(size=(2, 24, 16, 5)) + confidence * np.eye(5)[labels]
    labels[rng.random(labels.shape) < ignored] = 255
    loss = OhemCrossEntropy(threshold, min_kept)(labels, logits.astype("float32"))
    np.testing.assert_allclose(
        loss, naive(labels, logits, threshold, min_kept), rtol=1e-4, atol=1e-6
    )


def test_ties_share_the_places_that_are_left():
    # One pixel is wrong, seven are equally sure of the truth; a quarter, two, are kept.
    logits = np.zeros((1, 2, 4, 2), "float32")
    logits[..., 0] = 3
    logits[0, 0, 0] = (0, 5)
    labels = np.zeros((1, 2, 4), "uint8")
    loss = OhemCrossEntropy(threshold=0.001, min_kept=0.25)(labels, logits)
    np.testing.assert_allclose(loss, naive(labels, logits, 0.001, 0.25), rtol=1e-5)


def test_class_weights_scale_losses_but_not_the_choice():
    rng = np.random.default_rng(5)
    labels = rng.integers(0, 3, (1, 16, 16)).astype("uint8")
    logits = (rng.normal(size=(1, 16, 16, 3)) + 4 * np.eye(3)[labels]).astype("float32")
    weights = [0.5, 1.0, 3.0]
    loss = OhemCrossEntropy(class_weights=weights)(labels, logits)
    np.testing.assert_allclose(loss, naive(labels, logits, weights=weights), rtol=1e-4)


def test_gradient_equals_softmax_minus_truth():
    import tensorflow as tf

    rng = np.random.default_rng(3)
    labels = rng.integers(0, 4, (2, 5, 6)).astype("uint8")
    labels[0, :2] = 255
    logits = tf.constant(rng.normal(size=(2, 5, 6, 4)).astype("float32"))
    weights = np.array([1.0, 2.0, 0.5, 3.0])
    with tf.GradientTape() as tape:
        tape.watch(logits)
        loss = OhemCrossEntropy(min_kept=1.0, class_weights=list(weights))(labels, logits)
    valid = labels != 255
    truth = np.eye(4)[np.where(valid, labels, 0)]
    exps = np.exp(logits.numpy().astype(np.float64))
    factors = np.where(valid, weights[np.where(valid, labels, 0)], 0) / valid.sum()
    expected = (exps / exps.sum(-1, keepdims=True) - truth) * factors[..., None]
    np.testing.assert_allclose(tape.gradient(loss, logits), expected, atol=1e-7)


def test_mistake_whose_probability_is_no_float_any_more():
    import tensorflow as tf

    labels = np.zeros((1, 1, 2), "uint8")
    logits = tf.constant([[[[-4000.0, 1000.0, 0.0], [3000.0, 3000.0, 0.0]]]])
    with tf.GradientTape() as tape:
        tape.watch(logits)
        loss = OhemCrossEntropy(threshold=1.0, min_kept=1.0)(labels, logits)
    np.testing.assert_allclose(loss, (5000 + np.log(2)) / 2, rtol=1e-6)
    expected = np.array([[-1, 1, 0], [-0.5, 0.5, 0]]) / 2
    np.testing.assert_allclose(tape.gradient(loss, logits)[0, 0], expected, atol=1e-6)


def test_batch_of_a_size_known_only_at_run_time():
    import tensorflow as tf

    rng = np.random.default_rng(4)
    labels = rng.integers(0, 3, (3, 4, 8)).astype("uint8")
    logits = (rng.normal(size=(3, 4, 8, 3)) + 9 * np.eye(3)[labels]).astype("float32")
    specs = tf.TensorSpec((None, None, None), "uint8"), tf.TensorSpec((None, None, None, 3))
    loss = tf.function(OhemCrossEntropy(), input_signature=specs)(labels, logits)
    np.testing.assert_allclose(loss, naive(labels, logits), rtol=1e-4, atol=1e-6)


def test_no_valid_pixel_gives_zero_loss_and_zero_gradient():
    import tensorflow as tf

    logits = tf.fill((1, 4, 4, 3), np.float32(np.inf))
    labels = np.full((1, 4, 4), 255, "uint8")
    with tf.GradientTape() as tape:
        tape.watch(logits)
        loss = OhemCrossEntropy()(labels, logits)
    assert float(loss) == 0
    np.testing.assert_array_equal(tape.gradient(loss, logits), 0)


def test_ignored_infinity_does_not_spread():
    labels = np.zeros((1, 4, 4), "uint8")
    logits = np.zeros((1, 4, 4, 3), "float32")
    expected = float(OhemCrossEntropy()(labels, logits))
    labels[0, 0, 0], logits[0, 0, 0, 0] = 255, np.inf
    np.testing.assert_allclose(OhemCrossEntropy()(labels, logits), expected, rtol=1e-6)


@pytest.mark.parametrize("label", [3, 254, -1])
def test_label_that_is_no_class_makes_the_loss_nan(label):
    labels = np.zeros((1, 4, 4), "int32")
    labels[0, 1, 2] = label
    assert np.isnan(OhemCrossEntropy()(labels, np.zeros((1, 4, 4, 3), "float32")))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_float32_inside(dtype):
    labels = np.zeros((1, 64, 64), "uint8")
    logits = keras.ops.cast(np.full((1, 64, 64, 19), 200.0), dtype)
    loss = OhemCrossEntropy()(labels, logits)
    assert loss.dtype == "float32"
    np.testing.assert_allclose(loss, np.log(19), rtol=1e-5)


def test_float16s_largest_logits_have_a_loss_and_a_gradient():
    import tensorflow as tf

    labels = np.zeros((1, 2, 2), "uint8")
    logits = tf.constant(np.full((1, 2, 2, 3), [-65504, 65504, 0]), "float16")
    with tf.GradientTape() as tape:
        tape.watch(logits)
        loss = OhemCrossEntropy()(labels, logits)
    np.testing.assert_allclose(loss, 2 * 65504)
    gradient = np.asarray(tape.gradient(loss, logits), "float32")
    np.testing.assert_allclose(gradient, np.full((1, 2, 2, 3), [-0.25, 0.25, 0]))


def test_gradient_reaches_only_kept_pixels():
    import tensorflow as tf

    rng = np.random.default_rng(7)
    labels = np.zeros((1, 8, 8), "uint8")
    logits = tf.constant(rng.normal(6, 1, (1, 8, 8, 1)) * [1, 0], tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(logits)
        loss = OhemCrossEntropy(threshold=0.1, min_kept=0.25)(labels, logits)
    touched = np.abs(tape.gradient(loss, logits)).sum(-1) > 0
    assert touched.sum() == 16
    margin = np.asarray(logits)[..., 0]
    assert margin[touched].max() < margin[~touched].min()


def test_serializes():
    loss = OhemCrossEntropy(0.6, 0.1, 254, [1, 2, 3], [(0, 2)])
    again = keras.losses.deserialize(keras.losses.serialize(loss))
    assert again.get_config() == loss.get_config()


@pytest.mark.parametrize("arguments", [{"threshold": 0}, {"min_kept": 1.5}])
def test_refuses(arguments):
    with pytest.raises(ValueError, match="Received"):
        OhemCrossEntropy(**arguments)


GROUPS = [[0, 2], [1, 2, 3, 4]]
MEMBERS = np.array([*np.eye(5), [1, 0, 1, 0, 0], [0, 1, 1, 1, 1]])


def naive_groups(labels, logits, threshold=0.7, min_kept=1 / 16, weights=None):
    """OHEM by sorting, in float64, where a label may be any class of a group."""
    labels, logits = labels.reshape(-1), logits.reshape(-1, 5).astype(np.float64)
    labels, logits = labels[labels != 255], logits[labels != 255]
    odds = np.exp(logits)
    losses = -np.log((odds * MEMBERS[labels]).sum(-1) / odds.sum(-1))
    kept = max((losses > -np.log(threshold)).sum(), np.ceil(min_kept * len(labels)))
    chosen = np.argsort(-losses, kind="stable")[: int(kept)]
    factors = np.array([np.min(weights[row > 0]) for row in MEMBERS]) if weights is not None else 1
    return float((losses * np.broadcast_to(factors, 7)[labels])[chosen].mean())


def grouped(seed, confidence=2.0, ignored=0.2):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 7, (2, 24, 16)).astype("uint8")
    logits = rng.normal(size=(2, 24, 16, 5)) + confidence * MEMBERS[labels]
    labels[rng.random(labels.shape) < ignored] = 255
    return labels, logits.astype("float32")


@pytest.mark.parametrize("confidence", [0, 3, 8])
@pytest.mark.parametrize(("threshold", "min_kept"), [(0.7, 1 / 16), (1.0, 1.0)])
@pytest.mark.parametrize("weights", [None, np.array([0.5, 1.0, 3.0, 2.0, 0.7])])
def test_a_group_has_the_summed_probability_of_its_classes(
    confidence, threshold, min_kept, weights
):
    labels, logits = grouped(confidence, confidence)
    loss = OhemCrossEntropy(threshold, min_kept, class_weights=weights, groups=GROUPS)
    expected = naive_groups(labels, logits, threshold, min_kept, weights)
    np.testing.assert_allclose(loss(labels, logits), expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("gap", [0.0, 500.0])
def test_gradient_of_a_group_is_that_of_its_definition(gap):
    import tensorflow as tf

    labels, logits = grouped(1)
    logits[0, :, :, :3] -= gap  # In one image, the first group has no float32 probability.
    logits = tf.constant(logits)
    members = tf.constant(MEMBERS[np.where(labels == 255, 0, labels)] > 0)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(logits)
        loss = OhemCrossEntropy(min_kept=1.0, threshold=1.0, groups=GROUPS)(labels, logits)
        inside = tf.reduce_logsumexp(tf.where(members, logits, -np.inf), -1)
        losses = tf.reduce_logsumexp(logits, -1) - inside
        expected = tf.reduce_mean(losses[labels != 255])
    np.testing.assert_allclose(loss, expected, rtol=1e-5)
    np.testing.assert_allclose(
        tape.gradient(loss, logits), tape.gradient(expected, logits), atol=1e-7
    )


def test_labels_of_no_group_and_pixels_that_are_ignored():
    labels, logits = grouped(2)
    labels[0, 0, 0], logits[0, 0, 0] = 255, np.inf
    assert np.isfinite(OhemCrossEntropy(groups=GROUPS)(labels, logits))
    labels[0, 0, 1] = 7
    assert np.isnan(OhemCrossEntropy(groups=GROUPS)(labels, logits))
