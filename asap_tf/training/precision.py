"""Number formats of a training."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import keras

from asap_tf.core.processor import processor_words, trains_in_bfloat16


def resolve_precision(precision: str) -> str:
    """The Keras dtype policy for a recipe's `train.precision`.

    `"auto"` is float16 on a GPU and bfloat16 on a CPU that gains by it.
    """
    if precision != "auto":
        return precision
    if has_gpu():
        return "mixed_float16"
    return "mixed_bfloat16" if trains_in_bfloat16(processor_words()) else "float32"


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
