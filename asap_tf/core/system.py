"""This installation and its machine, and what native libraries print."""

from __future__ import annotations

import contextlib
import os
import platform
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path


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


def processor_name() -> str:
    """The processor as the system names it."""
    return proc_fields("cpuinfo").get("model name") or platform.processor() or platform.machine()


def available_memory() -> int:
    """Bytes of memory that are free; half of all memory where the system does not say."""
    fields = proc_fields("meminfo")
    if "MemAvailable" in fields:
        return int(fields["MemAvailable"].removesuffix(" kB")) * 1024
    return total_memory() // 2


def total_memory() -> int:
    """Bytes of memory; 0 if the system does not say."""
    if not hasattr(os, "sysconf"):
        return 0
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def proc_fields(name: str) -> dict[str, str]:
    """Fields of a file in /proc, for the first core where there are several; empty elsewhere."""
    path = Path("/proc", name)
    if not path.exists():
        return {}
    lines = path.read_text(encoding="utf-8").partition("\n\n")[0].splitlines()
    return {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}


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
