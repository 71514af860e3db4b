"""Trial of an artifact that this process has not written, in a process of its own.

Runtimes trust their files: a damaged one can crash or hang the process that opens it.
"""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path

from asap_tf.core.children import run_module
from asap_tf.core.errors import AsapError

LIMIT = 60.0
"""Seconds that opening a model and labeling a frame may take."""


def probe(path: Path, limit: float = LIMIT, trust: bool = False) -> None:
    """Opens an artifact and labels one frame with it, in a child process.

    Args:
        path: Artifact of any format.
        limit: Seconds until the child is killed.
        trust: As of `asap_tf.load`.

    Raises:
        AsapError: if that fails, saying how: by an error, a crash, or by taking too long.
    """
    try:
        options = ["--trust"] if trust else []
        child = run_module("asap_tf.runtime.probe_child", str(path), *options, timeout=limit)
    except subprocess.TimeoutExpired as error:
        raise AsapError(
            f"{path}: damaged, or this machine is busy: opening it and labeling a frame timed out "
            f"after {limit:.0f} s"
        ) from error
    if child.returncode < 0:
        name = signal.Signals(-child.returncode).name
        raise AsapError(
            f"{path}: damaged: its runtime crashed on it (signal {-child.returncode}, {name})"
        )
    if child.returncode:
        *_, message = ["", *child.stdout.decode(errors="replace").strip().splitlines()]
        raise AsapError(
            message or f"{path}: cannot be opened: its runtime ended with {child.returncode}"
        )
