"""This installation: version, processor cores, and what native libraries print."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version


def package_version() -> str:
    """Version of asap-tf; `"0+unknown"` for a checkout that was never installed."""
    try:
        return version("asap-tf")
    except PackageNotFoundError:
        return "0+unknown"


def available_cores() -> int:
    """Processor cores that this process may run on; `taskset` and cpusets make them fewer."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def thread_count(threads: int) -> str:
    """`"1 thread"`, `"2 threads"`."""
    return f"{threads} thread{'s' * (threads > 1)}"


@contextlib.contextmanager
def stderr_silenced() -> Iterator[None]:
    """Keeps the chatter of native libraries off the terminal.

    They log straight to the file descriptor, TensorFlow even before its log level takes effect:
    turning that away for a time is the only way. Exceptions still surface.
    """
    terminal, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(terminal, 2)
        os.close(terminal)
        os.close(nowhere)
