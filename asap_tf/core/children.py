"""Python processes that we start. None of them imports anything from the current folder.

Python puts that folder first in the search path of `python -m` and `python -c`, and so of processes
that `multiprocessing` spawns: a `numpy.py` beside a model that somebody was sent would run.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator

_SAFE_PATH = "PYTHONSAFEPATH"


def run_module(module: str, *arguments: str, timeout: float) -> subprocess.CompletedProcess[bytes]:
    """Runs a module as a script, without input, and waits for its end.

    Args:
        module: Dotted name, with a block for `__main__`.
        *arguments: What it finds in `sys.argv`.
        timeout: Seconds until it is killed.

    Returns:
        Its exit code, negative for a signal, and what it printed; standard error is dropped.

    Raises:
        subprocess.TimeoutExpired: if it had to be killed.

    Examples:
        >>> run_module("asap_tf.runtime.probe_child", "asap_int8.tflite", timeout=60).returncode
        0
    """
    with safe_path():
        return subprocess.run(
            [sys.executable, "-P", "-m", module, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=timeout,
        )


@contextlib.contextmanager
def safe_path() -> Iterator[None]:
    """Keeps the current folder out of the search path of Python processes that start meanwhile.

    Examples:
        >>> with safe_path():
        ...     process.start()
    """
    before = os.environ.get(_SAFE_PATH)
    os.environ[_SAFE_PATH] = "1"
    try:
        yield
    finally:
        if before is None:
            os.environ.pop(_SAFE_PATH, None)
        else:
            os.environ[_SAFE_PATH] = before
