"""The devices of a training: one, several of this machine, or those of several hosts."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import keras

from asap_tf.core.errors import UsageError

Scope = Callable[[], contextlib.AbstractContextManager[Any]]


def strategy_scope(batch_size: int) -> Scope:
    """Data parallelism over all devices there are; nothing where there is one.

    On JAX over the devices of all hosts, on TensorFlow over the GPUs of this machine. Every device
    takes an equal part of each batch, and the result is that of one device: norms, hard pixels and
    gradients are the whole batch's.

    Args:
        batch_size: Frames in a batch, over all devices together.

    Returns:
        A function that makes the context in which the model is to be built and fitted.

    Raises:
        UsageError: if the devices cannot share a batch equally.
    """
    if keras.backend.backend() == "jax":
        devices, scope = jax_devices()
    else:
        devices, scope = tensorflow_devices()
    if batch_size % devices:
        raise UsageError(
            f"train.batch_size={batch_size}: {devices} devices cannot share it equally; it counts "
            f"the frames of all hosts and devices together, so take a multiple of {devices}"
        )
    return scope


def jax_devices() -> tuple[int, Scope]:
    """The number of JAX's devices, over all hosts, and `keras.distribution.DataParallel`."""
    import jax
    import tensorflow as tf

    # TensorFlow only feeds: it would take the GPUs' memory.
    tf.config.set_visible_devices([], "GPU")
    if jax.device_count() == 1:
        return 1, contextlib.nullcontext
    return jax.device_count(), keras.distribution.DataParallel(auto_shard_dataset=False).scope


def tensorflow_devices() -> tuple[int, Scope]:
    """The number of TensorFlow's devices in this machine, and its MirroredStrategy."""
    import tensorflow as tf

    devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
    if len(devices) == 1:
        return 1, contextlib.nullcontext
    return len(devices), tf.distribute.MirroredStrategy([d.name for d in devices]).scope
