"""Opens an artifact and labels a frame with it; `asap_tf.runtime.probe` runs this as a child.

python -m asap_tf.runtime.probe_child PATH [--trust]
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from asap_tf.core.errors import AsapError, first_line
from asap_tf.runtime.loading import format_of, open_network

MEMORY = 8 * 2**30
"""Bytes that it may take: a damaged length asks for any amount."""


def main(path: Path, trust: bool = False) -> int:
    """Prints what is wrong with an artifact, if anything is, and then returns 1."""
    _limit_resources()
    try:
        network = open_network(path, format_of(path), trust=trust)
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
    limits = {MEMORY, *resource.getrlimit(resource.RLIMIT_DATA)} - {resource.RLIM_INFINITY}
    resource.setrlimit(resource.RLIMIT_DATA, (min(limits), min(limits)))


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), "--trust" in sys.argv[2:]))
