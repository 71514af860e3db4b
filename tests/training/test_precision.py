from __future__ import annotations

import functools
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from asap_tf import ASAPNet, OhemCrossEntropy
from asap_tf.training import precision


@pytest.mark.parametrize(
    ("gpu", "flags", "expected"),
    [
        (True, "amx_bf16", "mixed_float16"),
        (False, "avx512_bf16 amx_bf16 amx_tile", "mixed_bfloat16"),
        (False, "AuthenticAMD fma avx512_bf16", "mixed_bfloat16"),
        (False, "AuthenticAMD avx512f avx512_vnni", "float32"),
        (False, "GenuineIntel avx512_bf16", "float32"),
    ],
)
def test_auto(monkeypatch, gpu, flags, expected):
    monkeypatch.setattr(precision, "has_gpu", lambda: gpu)
    monkeypatch.setattr(Path, "exists", lambda self: True)
    monkeypatch.setattr(Path, "read_text", lambda self: flags)
    assert precision.resolve_precision("auto") == expected
    assert precision.resolve_precision("float32") == "float32"


def test_no_gpu_here_is_seen():
    import tensorflow as tf

    assert precision.has_gpu() == bool(tf.config.list_physical_devices("GPU"))


def test_policy_is_restored_even_after_an_error():
    before = keras.config.dtype_policy()
    with pytest.raises(RuntimeError), precision.dtype_policy("mixed_bfloat16"):
        assert keras.config.dtype_policy().name == "mixed_bfloat16"
        raise RuntimeError
    assert keras.config.dtype_policy() == before


@pytest.fixture(scope="module")
def gradients_of_asap():
    """Of all of its weights, in one vector, by the name of a dtype policy."""

    def gradients(policy):
        keras.utils.set_random_seed(0)
        with precision.dtype_policy(policy):
            model = ASAPNet(5, (64, 64, 3), aux_heads=True)
        rng = np.random.default_rng(0)
        frames = rng.integers(0, 256, (2, 64, 64, 3)).astype("float32")
        labels = rng.integers(0, 5, (2, 64, 64))
        loss = OhemCrossEntropy()
        with tf.GradientTape() as tape:
            total = sum(loss(labels, x) for x in model(frames, training=True).values())
        found = tape.gradient(total, model.trainable_variables)
        return np.concatenate([np.ravel(g) for g in found])

    return functools.cache(gradients)


@pytest.mark.parametrize(("policy", "least"), [("mixed_float16", 0.9), ("mixed_bfloat16", 0.7)])
def test_gradients_in_half_precision_point_where_float32s_do(policy, least, gradients_of_asap):
    one, other = gradients_of_asap("float32"), gradients_of_asap(policy)
    cosine = one @ other / (np.linalg.norm(one) * np.linalg.norm(other))
    assert cosine > least
