"""What a benchmark ran on, for the head of its report."""

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
    """A computer and the state it was in.

    Attributes:
        cpu: Model.
        cores: That this process may use.
        instructions: Those that matter to networks.
        memory: Bytes.
        gpus: Name, driver and memory of each.
        system: Operating system.
        software: asap-tf and Python.
        load: Load average over the last minute; None where there is no such thing.
        date: With time and zone.
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
        """In short: what the networks ran on."""
        return f"{self.cpu}, {self.cores} cores" + "".join(f", {gpu}" for gpu in self.gpus)

    @property
    def warning(self) -> str | None:
        """One line if the machine was busy with something else."""
        if self.load is None or self.load <= BUSY * self.cores:
            return None
        return (
            f"the load average was {self.load:.1f} on {self.cores} cores before the first run: "
            "something else is running, trust ratios at most"
        )


def this_machine() -> Machine:
    """The machine this runs on, as it is now."""
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
    """Bytes that a process can still get; where Linux does not say, half of all there are."""
    fields = proc_fields("meminfo")
    if "MemAvailable" in fields:
        return int(fields["MemAvailable"].removesuffix(" kB")) * 1024
    return total_memory() // 2


def total_memory() -> int:
    """Bytes of memory."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def proc_fields(name: str) -> dict[str, str]:
    """What Linux says in a file of /proc, of the first core where of several; empty elsewhere."""
    path = Path("/proc", name)
    if not path.exists():
        return {}
    lines = path.read_text(encoding="utf-8").partition("\n\n")[0].splitlines()
    return {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}


def gpus() -> tuple[str, ...]:
    """NVIDIA's GPUs as their driver describes them; empty without a driver."""
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
