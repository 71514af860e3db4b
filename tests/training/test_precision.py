from __future__ import annotations

from pathlib import Path

import keras
import pytest

from asap_tf.training import precision


@pytest.mark.parametrize(
    ("gpu", "flags", "expected"),
    [
        (True, "amx_bf16", "mixed_float16"),
        (False, "avx512_bf16 amx_bf16 amx_tile", "mixed_bfloat16"),
        (False, "avx512_bf16", "float32"),
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
