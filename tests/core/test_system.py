from __future__ import annotations

import os
import subprocess
import sys

from asap_tf.core import system
from asap_tf.core.system import available_cores, available_memory

PRINT = "from asap_tf.core.system import available_cores; print(available_cores())"


def test_cores_that_are_kept_from_a_process_do_not_count():
    one = min(os.sched_getaffinity(0))
    code = f"import os; os.sched_setaffinity(0, {{{one}}}); {PRINT}"
    child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert child.stdout == "1\n"


def test_without_affinity_all_cores_count(monkeypatch):
    monkeypatch.delattr(os, "sched_getaffinity")
    for counted, cores in ((3, 3), (None, 1)):
        monkeypatch.setattr(os, "cpu_count", lambda counted=counted: counted)
        assert available_cores() == cores


def test_available_memory(monkeypatch):
    free, total = (os.sysconf(f"SC_{x}PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") for x in ("AV", ""))
    # Other processes take some meanwhile.
    assert 0.8 * free < available_memory() < total
    monkeypatch.setattr(system, "proc_fields", {"meminfo": {"MemAvailable": "3 kB"}}.get)
    assert available_memory() == 3072
    monkeypatch.setattr(system, "proc_fields", lambda name: {})
    assert available_memory() == total // 2
