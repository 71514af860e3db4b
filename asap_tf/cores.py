"""How many processor cores there are to work with."""

from __future__ import annotations

import os


def available_cores() -> int:
    """Processor cores that this process may run on; `taskset` and cpusets make them fewer."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
