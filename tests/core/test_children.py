from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys

import pytest

from asap_tf.core.children import run_module, safe_path


@pytest.fixture
def trap(tmp_path, monkeypatch):
    """The current folder, with modules in it that must not be found."""
    for name in ("locale", "selectors"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit(7)")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_module_runs_without_the_current_folder(trap, monkeypatch):
    found = run_module("calendar", "2026", "1", timeout=60)
    assert found.returncode == 0 and b"January 2026" in found.stdout
    monkeypatch.delenv("PYTHONSAFEPATH", raising=False)
    bare = subprocess.run([sys.executable, "-c", "import locale"], capture_output=True)
    assert bare.returncode == 7


def test_a_module_that_takes_too_long(tmp_path, monkeypatch):
    (tmp_path / "slow.py").write_text("import time; time.sleep(60)")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(subprocess.TimeoutExpired):
        run_module("slow", timeout=0.5)


def test_spawned_processes_run_without_it(trap, monkeypatch):
    monkeypatch.delenv("PYTHONSAFEPATH", raising=False)
    with safe_path():
        child = multiprocessing.get_context("spawn").Process(target=os.getpid)
        child.start()
    child.join()
    assert child.exitcode == 0
    assert "PYTHONSAFEPATH" not in os.environ
