"""TensorFlow as Keras models and SavedModels use it: imported quietly, with so many threads."""

from __future__ import annotations

import os

from asap_tf.core.errors import AsapError
from asap_tf.core.system import available_cores, stderr_silenced, thread_count


def is_backend() -> bool:
    """Whether Keras runs on TensorFlow, or will once it is imported."""
    return os.environ.get("KERAS_BACKEND", "tensorflow") == "tensorflow"


def import_tensorflow() -> None:
    """Imports TensorFlow with nothing to see of its own messages."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with stderr_silenced():
        import tensorflow  # noqa: F401


def import_keras() -> None:
    """Imports Keras, and before it TensorFlow, quietly, unless Keras has another backend."""
    if is_backend():
        import_tensorflow()
    import keras  # noqa: F401


def set_threads(threads: int | None) -> str:
    """Sets the threads of TensorFlow, for the whole process; None leaves them as they are.

    Returns:
        TensorFlow for people: `"TensorFlow 2.21.0, CPU, 2 threads"`.

    Raises:
        AsapError: if TensorFlow has started already, with another number.
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
