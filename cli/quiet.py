"""Keeps TensorFlow's start-up chatter off the terminal."""

from __future__ import annotations

import os


def import_tensorflow() -> None:
    """Imports TensorFlow, if Keras is going to, with nothing to see of its own messages.

    It logs before its log level takes effect, straight to the file descriptor: closing that for
    the time of the import is the only way. An error of the import still surfaces.
    """
    if os.environ.get("KERAS_BACKEND", "tensorflow") != "tensorflow":
        return
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    terminal, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        import tensorflow  # noqa: F401
    finally:
        os.dup2(terminal, 2)
        os.close(terminal)
        os.close(nowhere)
