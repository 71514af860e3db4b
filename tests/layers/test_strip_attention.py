from __future__ import annotations

import keras
import numpy as np
import pytest

from asap_tf.layers import StripAttention, strip_attention


def naive(x: np.ndarray, layer: StripAttention) -> np.ndarray:
    """Eq. 3 and 4 with loops over positions, BatchNorm by its definition."""
    axis = {"vertical": 0, "horizontal": 1, "full": None}[layer.axis]

    def project(name, positions):
        conv, norm = layer.projections[name]
        kernel = np.asarray(conv.kernel)[0, 0]
        gamma, beta, mean, variance = (np.asarray(w) for w in norm.weights)
        return (positions @ kernel - mean) / np.sqrt(variance + 1e-5) * gamma + beta

    result = []
    for sample in x.astype(np.float64):
        strip = sample if axis is None else sample.mean(axis, keepdims=True)
        positions = strip.reshape(-1, strip.shape[-1])
        q, k, v = (project(name, positions) for name in ("query", "key", "value"))
        out = np.zeros_like(v)
        for j in range(len(q)):
            scores = np.exp([q[j] @ k[i] for i in range(len(k))])
            out[j] = (scores / scores.sum()) @ v
        result.append(sample + out.reshape(strip.shape))
    return np.stack(result)


@pytest.mark.parametrize("axis", ["vertical", "horizontal", "full"])
def test_equals_the_equations(axis):
    rng = np.random.default_rng(0)
    layer = StripAttention(axis, key_filters=3)
    x = rng.normal(size=(2, 4, 6, 5)).astype("float32")
    layer.build(x.shape)
    for weight in layer.weights:
        weight.assign(rng.uniform(0.5, 1.5, weight.shape))
    np.testing.assert_allclose(layer(x), naive(x, layer), atol=1e-5)


def test_vertical_adds_the_same_to_every_row():
    x = np.random.default_rng(1).normal(size=(1, 8, 16, 4)).astype("float32")
    added = np.asarray(StripAttention()(x)) - x
    assert np.abs(added).max() > 0
    np.testing.assert_allclose(added, np.broadcast_to(added[:, :1], added.shape), atol=1e-5)


def test_columns_beyond_any_convolution_are_seen():
    x = np.zeros((1, 2, 200, 4), "float32")
    changed = x.copy()
    changed[:, :, -1] = 5
    layer = StripAttention()
    assert np.abs(np.asarray(layer(changed)) - np.asarray(layer(x)))[:, :, 0].max() > 1e-4


@pytest.mark.parametrize("axis", ["vertical", "full"])
def test_loads_with_keras(round_trip, axis):
    np.testing.assert_array_equal(*round_trip(StripAttention(axis, 2), (4, 6, 3)))


def test_files_from_before_batch_norm_was_our_own_open(tmp_path, monkeypatch):
    old = keras.layers.BatchNormalization
    monkeypatch.setattr(strip_attention, "batch_norm", lambda name, **kw: old(name=name, **kw))
    inputs = keras.Input((4, 6, 3))
    before = keras.Model(inputs, StripAttention(key_filters=2)(inputs))
    before.set_weights([np.random.default_rng(0).uniform(size=w.shape) for w in before.weights])
    before.save(tmp_path / "model.keras")
    monkeypatch.undo()
    after = keras.models.load_model(tmp_path / "model.keras")
    for one, other in zip(before.get_weights(), after.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_float16_softmax_does_not_overflow():
    layer = StripAttention(dtype="mixed_float16")
    x = np.full((1, 4, 8, 16), 50, "float16")
    assert np.isfinite(np.asarray(layer(x))).all()


def test_refuses_an_unknown_axis():
    with pytest.raises(ValueError, match="Received: axis='diagonal'"):
        StripAttention("diagonal")
