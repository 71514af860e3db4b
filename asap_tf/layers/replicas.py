"""Statistics of a whole batch that TensorFlow's MirroredStrategy has split over devices.

JAX needs none of this: its steps are compiled for the whole batch.
"""

from __future__ import annotations

from typing import Any

import keras

from asap_tf.layers.tensor import Tensor


def replica_context() -> Any:
    """TensorFlow's replica context within a step that several devices share, else None."""
    if keras.backend.backend() != "tensorflow":
        return None
    import tensorflow as tf

    context = tf.distribute.get_replica_context()
    return context if context is not None and context.num_replicas_in_sync > 1 else None


def joint_moments(mean: Tensor, variance: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and variance of a whole batch from those of its equal parts, each `(C,)`."""
    context = replica_context()
    if context is None:
        return mean, variance
    whole = context.all_reduce("MEAN", mean)
    return whole, context.all_reduce("MEAN", variance + (mean - whole) ** 2)
