"""Number formats of a training."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import keras


def resolve_precision(precision: str) -> str:
    """The Keras dtype policy for a recipe's `train.precision`.

    `"auto"` is float16 on a GPU and bfloat16 on a CPU that gains by it: one with AMX, or one of
    AMD's with AVX512-BF16. On Intel's without AMX, bfloat16 trains at two thirds of float32's
    speed, whether they have AVX512-BF16 or not.
    """
    if precision != "auto":
        return precision
    if has_gpu():
        return "mixed_float16"
    cpu = Path("/proc/cpuinfo")
    words = set(cpu.read_text().split()) if cpu.exists() else set()
    gains = "amx_bf16" in words or {"avx512_bf16", "AuthenticAMD"} <= words
    return "mixed_bfloat16" if gains else "float32"


def has_gpu() -> bool:
    """Whether the backend sees a GPU."""
    if keras.backend.backend() == "jax":
        import jax

        return jax.default_backend() == "gpu"
    import tensorflow as tf

    return bool(tf.config.list_physical_devices("GPU"))


@contextlib.contextmanager
def dtype_policy(name: str) -> Iterator[None]:
    """Builds the layers of the block under a dtype policy, then restores the one before."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(name)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)
