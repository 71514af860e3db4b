"""Keras and its backend: imported without messages, run by a number of threads, named."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator

from asap_tf.core.errors import AsapError
from asap_tf.core.system import available_cores, stderr_silenced, thread_count

OPTIONAL_MODULES = ("jax", "matplotlib.pyplot", "pandas", "sklearn")
"""What Keras and TensorFlow import where it is installed, and no command of ours has them use: half
of the time that their import takes."""

_LEFT_OUT = "ASAP_TF_OPTIONAL_MODULES_LEFT_OUT"


def uses_tensorflow() -> bool:
    """Whether Keras runs on TensorFlow, or will once it is imported."""
    return os.environ.get("KERAS_BACKEND", "tensorflow") == "tensorflow"


def import_tensorflow() -> None:
    """Imports TensorFlow without its messages."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with stderr_silenced(), _optional_modules_left_out():
        import tensorflow  # noqa: F401


def import_keras() -> None:
    """Imports Keras and its backend without TensorFlow's messages."""
    if uses_tensorflow():
        import_tensorflow()
    with _optional_modules_left_out():
        import keras  # noqa: F401


def leave_out_optional_modules() -> None:
    """Makes later imports of Keras faster, in this process and those that it starts.

    For programs that are ours alone: Keras's functions that need `OPTIONAL_MODULES` are lost.
    """
    os.environ[_LEFT_OUT] = "1"


@contextlib.contextmanager
def _optional_modules_left_out() -> Iterator[None]:
    """Hides `OPTIONAL_MODULES` from what is imported meanwhile, if that was asked for."""
    needed = {os.environ.get("KERAS_BACKEND"), *sys.modules}
    hidden = [name for name in OPTIONAL_MODULES if _LEFT_OUT in os.environ and name not in needed]
    # An import of what is None here fails as if it were not installed.
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]


def set_backend_threads(threads: int | None) -> str:
    """Sets the processor threads of Keras's backend, for the whole process.

    Args:
        threads: Number of threads; None leaves it as it is.

    Returns:
        Backend and device for people: `"TensorFlow 2.21.0, CPU, 2 threads"`, or
        `"JAX 0.11.2, NVIDIA H100 80GB HBM3"`.

    Raises:
        AsapError: if the number of threads cannot be set, or not any more.
    """
    if uses_tensorflow():
        return set_tensorflow_threads(threads)
    import keras

    backend = keras.backend.backend()
    if threads:
        raise AsapError(f"`threads` cannot be set on Keras's {backend} backend")
    if backend == "jax":
        import jax

        return f"JAX {jax.__version__}, {jax.devices()[0].device_kind}"
    return f"{backend} backend"


def set_tensorflow_threads(threads: int | None) -> str:
    """`set_backend_threads` for TensorFlow, whichever backend Keras has.

    Raises:
        AsapError: if TensorFlow has started already, with another number of threads.
    """
    import tensorflow as tf

    threading = tf.config.threading
    if threads and threading.get_intra_op_parallelism_threads() != threads:
        try:
            threading.set_intra_op_parallelism_threads(threads)
            threading.set_inter_op_parallelism_threads(threads)
        except RuntimeError as error:
            raise AsapError(
                f"TensorFlow cannot change to {thread_count(threads)} once it has run something; "
                "open the model first of all, or in a process of its own"
            ) from error
    used = threading.get_intra_op_parallelism_threads() or available_cores()
    device = "GPU" if tf.config.list_physical_devices("GPU") else "CPU"
    return f"TensorFlow {tf.__version__}, {device}, {thread_count(used)}"
