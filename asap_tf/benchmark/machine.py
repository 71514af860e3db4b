"""The machine that a benchmark runs on, for the head of its report."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from asap_tf import __version__
from asap_tf.core.system import available_cores

BUSY = 0.5
"""Load average per core from which other work is likely to disturb timings."""

_INSTRUCTIONS = {
    "avx2": "AVX2",
    "avx512f": "AVX-512",
    "avx512_vnni": "AVX-512 VNNI",
    "avx_vnni": "AVX VNNI",
    "amx_int8": "AMX int8",
    "amx_bf16": "AMX bf16",
    "asimddp": "dot product",
    "i8mm": "int8 matrices",
}
"""Flags of /proc/cpuinfo that decide how fast a precision is."""


@dataclass(frozen=True)
class Machine:
    """A computer and its state.

    Attributes:
        cpu: Model of the processor.
        cores: Number of cores that this process may use.
        instructions: Instruction sets that matter to networks.
        memory: Memory in bytes; 0 if the system does not say.
        gpus: Name, memory and driver of each GPU.
        system: Operating system and its version.
        software: Versions of asap-tf and Python.
        load: Load average over the last minute; None where the system has none.
        date: Date, time and time zone.
    """

    cpu: str
    cores: int
    instructions: tuple[str, ...]
    memory: int
    gpus: tuple[str, ...]
    system: str
    software: str
    load: float | None
    date: str

    @property
    def name(self) -> str:
        """Processor, cores and GPUs in one line."""
        return f"{self.cpu}, {self.cores} cores" + "".join(f", {gpu}" for gpu in self.gpus)

    @property
    def warning(self) -> str | None:
        """A line if other work kept the machine busy, else None."""
        if self.load is None or self.load <= BUSY * self.cores:
            return None
        return (
            f"the load average was {self.load:.1f} on {self.cores} cores before the first run: "
            "something else is running; ratios may still be right, times are not"
        )


def this_machine() -> Machine:
    """The machine that this process runs on, in its present state."""
    fields = proc_fields("cpuinfo")
    flags = f"{fields.get('flags', '')} {fields.get('Features', '')}".split()
    return Machine(
        cpu=fields.get("model name") or platform.processor() or platform.machine(),
        cores=available_cores(),
        instructions=tuple(name for flag, name in _INSTRUCTIONS.items() if flag in flags),
        memory=total_memory(),
        gpus=gpus(),
        system=platform.platform(),
        software=f"asap-tf {__version__}, Python {platform.python_version()}",
        load=os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        date=time.strftime("%Y-%m-%d %H:%M:%S %z"),
    )


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


def gpus() -> tuple[str, ...]:
    """NVIDIA GPUs as their driver describes them; empty without a driver."""
    if shutil.which("nvidia-smi") is None:
        return ()
    query = ["nvidia-smi", "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader"]
    try:
        found = subprocess.run(query, capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return ()
    names = []
    for line in found.stdout.splitlines():
        name, driver, memory = (part.strip() for part in line.split(","))
        names.append(f"{name} ({memory}, driver {driver})")
    return tuple(names)
