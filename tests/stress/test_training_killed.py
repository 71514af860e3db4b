"""Trainings that are killed and resumed end as an undisturbed one does.

Each kill (signal 9) comes at a random moment of a phase drawn at random: while the process starts,
takes a step, saves a checkpoint or the model, validates, or writes its results. After each, the
last checkpoint is read; then the run is resumed, to be killed again or to end. At its end its
weights, running statistics, averages and optimizer state have to equal those of a run that was
never killed, bit for bit, and its files have to be the same ones; then the next run begins.
"""

from __future__ import annotations

import collections
import multiprocessing
import os
import time
from pathlib import Path

import numpy as np
import pytest

from asap_tf.training.run_folder import RunFolder
from support.killed_training import PHASES, train

pytestmark = pytest.mark.stress


class Training:
    """Starts trainings, one after the other, and follows their phases."""

    def __init__(self, home: Path):
        self.phase, self.log = home / "phase", home / "log"
        # Its processes have everything imported, and start in a tenth of the time.
        self.context = multiprocessing.get_context("forkserver")
        self.context.set_forkserver_preload(["support.killed_training"])

    def start(self, *arguments: object) -> multiprocessing.Process:
        self.phase.unlink(missing_ok=True)
        arguments = (self.phase, self.log, [*map(str, arguments)])
        process = self.context.Process(target=train, args=arguments)
        process.start()
        return process

    def now(self) -> str:
        return self.phase.read_text() if self.phase.exists() else ""

    def durations(self, process: multiprocessing.Process) -> dict[str, float]:
        """Mean seconds of a stay in each phase of a training that nothing disturbs."""
        seconds: collections.Counter[str] = collections.Counter()
        stays: collections.Counter[str] = collections.Counter()
        last, before = "", time.monotonic()
        while process.is_alive():
            now, name = time.monotonic(), self.now()
            seconds[name] += now - before
            stays[name] += name != last
            last, before = name, now
            time.sleep(0.001)
        assert process.exitcode == 0, self.log.read_text()
        return {name: seconds[name] / stays[name] for name in PHASES}

    def kill(self, process: multiprocessing.Process, phase: str, after: float) -> bool:
        """Kills a process `after` seconds into its next stay in a phase, unless it ends before."""
        while process.is_alive():
            if self.now() == phase:
                time.sleep(after)
                if process.is_alive():
                    process.kill()
                    process.join()
                    return True
            time.sleep(0.001)
        return False


def differences(run: Path, reference: Path) -> list[str]:
    """Differences between a finished run and the undisturbed one."""
    ours, theirs = RunFolder(run).latest(), RunFolder(reference).latest()
    if ours is None or theirs is None or ours.step != theirs.step:
        return ["another last step"]
    found = [
        f"{name} differs"
        for name, array in theirs.arrays.items()
        if not np.array_equal(array, ours.arrays[name])
    ]
    names = [{p.name for p in r.iterdir() if p.name[0] != "."} for r in (run, reference)]
    if names[0] != names[1]:
        found.append(f"files: {sorted(names[0] ^ names[1])}")
    logs = [
        [e["step"] for e in RunFolder(r).read_log() if "val_miou" in e] for r in (run, reference)
    ]
    if logs[0] != logs[1]:
        found.append(f"validations at steps {logs[0]} for {logs[1]}")
    return found


def test_nothing_is_lost_whenever_it_is_killed(small_recipe, times, rng, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[1]), prepend=os.pathsep)
    training, reference, run = Training(tmp_path), tmp_path / "reference", tmp_path / "run-0"
    stays = training.durations(training.start(small_recipe, "--out", reference))
    kills: collections.Counter[str] = collections.Counter()
    count, finished, halves = times(20), 0, 0
    while kills.total() < count or run.exists():
        resumable = (run / "recipe.yaml").exists()
        arguments = ("--resume", run) if resumable else (small_recipe, "--out", run)
        process, phase = training.start(*arguments), str(rng.choice(PHASES))
        after = rng.uniform(0, stays[phase])
        if kills.total() < count and training.kill(process, phase, after):
            kills[training.now() or phase] += 1
            halves += sum(path.is_file() for path in run.rglob(".*"))
            RunFolder(run).latest()
            assert not list(run.rglob("*.damaged"))
            continue
        process.join()
        assert process.exitcode == 0, training.log.read_text()
        assert differences(run, reference) == []
        finished += 1
        run = tmp_path / f"run-{finished}"
    print(f"killed: {dict(kills)}; {halves} half-written files beside whole ones")
    print(f"runs brought to their end: {finished}")
