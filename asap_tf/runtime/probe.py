"""Opens an artifact that nothing vouches for in a process of its own.

Runtimes trust their files: a damaged one can crash or hang the process that opens it.

    python -m asap_tf.runtime.probe PATH
"""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import numpy as np

from asap_tf.core.errors import AsapError, first_line

LIMIT = 60.0
"""Seconds that opening a model and labeling a frame may take."""

MEMORY = 8 * 2**30
"""Bytes that it may take: a damaged length asks for any amount."""


def probe(path: Path, limit: float = LIMIT) -> None:
    """Opens an artifact and labels one frame with it, in a child process.

    Args:
        path: Any artifact.
        limit: Seconds until the child is killed.

    Raises:
        AsapError: if that fails, saying how: by an error, a crash, or by taking too long.
    """
    command = [sys.executable, "-m", "asap_tf.runtime.probe", str(path)]
    try:
        child = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            errors="replace",
            timeout=limit,
        )
    except subprocess.TimeoutExpired as error:
        raise AsapError(
            f"{path}: damaged: opening it and labeling a frame timed out after {limit:.0f} s"
        ) from error
    if child.returncode < 0:
        name = signal.Signals(-child.returncode).name
        raise AsapError(
            f"{path}: damaged: its runtime crashed on it (signal {-child.returncode}, {name})"
        )
    if child.returncode:
        *_, message = ["", *child.stdout.strip().splitlines()]
        raise AsapError(
            message or f"{path}: cannot be opened: its runtime ended with {child.returncode}"
        )


def main(path: Path) -> int:
    """Does in this process what `probe` wants; prints what is wrong, if anything is."""
    from asap_tf.runtime.loading import format_of, open_network

    _limit_resources()
    try:
        network = open_network(path, format_of(path))
        size = network.size or (64, 64)
        network.labels(np.full((1, *size, 3), 127, np.uint8), size)
    except AsapError as error:
        print(error)
        return 1
    except Exception as error:
        print(f"{path}: opens, but cannot run: {first_line(error)}")
        return 1
    return 0


def _limit_resources() -> None:
    """No core file, and no more memory than `MEMORY`."""
    if sys.platform == "win32":
        return
    import resource

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # Not RLIMIT_AS: CUDA reserves far more addresses than it ever uses.
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
