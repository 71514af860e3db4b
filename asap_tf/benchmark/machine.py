"""The machine that a benchmark runs on, for the head of its report."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import time
from dataclasses import dataclass

from asap_tf import __version__
from asap_tf.core.processor import instructions, processor_words
from asap_tf.core.system import available_cores, processor_name, total_memory

BUSY = 0.5
"""Load average per core from which other work is likely to disturb timings."""


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
    return Machine(
        cpu=processor_name(),
        cores=available_cores(),
        instructions=instructions(processor_words()),
        memory=total_memory(),
        gpus=gpus(),
        system=platform.platform(),
        software=f"asap-tf {__version__}, Python {platform.python_version()}",
        load=os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        date=time.strftime("%Y-%m-%d %H:%M:%S %z"),
    )


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
