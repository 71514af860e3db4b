from __future__ import annotations

import os
from dataclasses import replace

from asap_tf.benchmark.machine import gpus, this_machine


def test_this_machine():
    machine = this_machine()
    assert machine.cores == len(os.sched_getaffinity(0))
    total = int(open("/proc/meminfo").readline().split()[1]) * 1024
    assert machine.memory == total
    assert machine.cpu and machine.cpu in open("/proc/cpuinfo").read()
    assert machine.name.startswith(f"{machine.cpu}, {machine.cores} cores")


def test_warning_of_a_busy_machine():
    machine = replace(this_machine(), cores=8)
    assert replace(machine, load=4.0).warning is None
    assert replace(machine, load=None).warning is None
    assert "4.1 on 8 cores" in replace(machine, load=4.1).warning


def test_gpus(monkeypatch, tmp_path):
    tool = tmp_path / "nvidia-smi"
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    tool.write_text(
        "#!/bin/sh\necho 'NVIDIA X1, 555.42, 8192 MiB'\necho 'NVIDIA X2, 555.42, 4 MiB'"
    )
    tool.chmod(0o755)
    assert gpus() == (
        "NVIDIA X1 (8192 MiB, driver 555.42)",
        "NVIDIA X2 (4 MiB, driver 555.42)",
    )
    tool.write_text("#!/bin/sh\necho 'NVIDIA-SMI has failed'; exit 9")
    assert gpus() == ()
    tool.unlink()
    monkeypatch.setenv("PATH", str(tmp_path))
    assert gpus() == ()
