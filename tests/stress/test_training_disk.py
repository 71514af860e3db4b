"""Trainings that lose their disk end with an error, and resumed as an undisturbed one does.

At a random moment after a random step of a training, its small disk is filled to the last byte or
nearly so (a tmpfs), falls back to read-only as after an error (ext4, which then forgets what was
not flushed), or its run folder is removed. The training may end with an error of one line, and
nothing else; the last checkpoint has to be whole and that of an undisturbed training at the same
step, bit for bit. Then the disk is repaired, and the training resumed if it ended early: its last
weights, averages and optimizer state have to be the undisturbed ones, and its log has to hold the
same validations. A folder that was removed is made again.
"""

from __future__ import annotations

import collections
import contextlib
import gc
import os
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from asap_tf.core.files import Unwritable
from asap_tf.training.run_folder import Checkpoint, RunFolder

pytestmark = [
    pytest.mark.stress,
    pytest.mark.skipif(
        sys.platform != "linux" or os.geteuid() != 0, reason="only root may mount disks"
    ),
]

FAULTS = ("full", "read-only", "removed")
MEGABYTES = 48
Arrays = dict[str, np.ndarray]


def command(*arguments: object) -> None:
    subprocess.run([*map(str, arguments)], check=True, capture_output=True)


class Disk:
    """A small disk of its own that faults are injected into."""

    def __init__(self, fault: str, home: Path, rng: np.random.Generator):
        self.fault = fault
        self.image, self.place = home / "image", home / "disk"
        self.left = int(rng.choice([0, 512, 4096, 50_000]))
        self.place.mkdir(exist_ok=True)
        if fault == "read-only":
            # A new file: whoever still has the one before open would bring its dead disk back.
            self.image.unlink(missing_ok=True)
            with self.image.open("wb") as file:
                file.truncate(MEGABYTES << 20)
            command("mkfs.ext4", "-q", "-F", self.image)
        self.mount()

    def mount(self) -> None:
        if self.fault == "read-only":
            command("mount", "-o", "loop", self.image, self.place)
        else:
            command("mount", "-t", "tmpfs", "-o", f"size={MEGABYTES}m", "tmpfs", self.place)

    def damage(self) -> None:
        if self.fault == "read-only":
            command("mount", "-o", "remount,abort", self.place)
        elif self.fault == "removed":
            shutil.rmtree(self.place / "run", ignore_errors=True)
        else:
            with contextlib.suppress(OSError), (self.place / "filler").open("wb", 0) as file:
                while file.write(bytes(65536)) == 65536:
                    pass
            with (self.place / "filler").open("ab", 0) as file:
                file.truncate(max(0, file.tell() - self.left))

    def repair(self) -> None:
        if self.fault == "read-only":
            gc.collect()
            command("umount", self.place)
            self.mount()
        else:
            (self.place / "filler").unlink(missing_ok=True)

    def close(self) -> None:
        gc.collect()
        command("umount", "-l", self.place)


class Training:
    """One training, started again and again; `arrays` are an undisturbed one's, by step."""

    def __init__(self, recipe_file: Path, home: Path):
        import keras

        from asap_tf.training import check_data
        from asap_tf.training.recipe import load_recipe
        from asap_tf.training.trainer import Trainer

        recipe = load_recipe(recipe_file)
        self.trainer = Trainer(RunFolder(home / "whole"), recipe, check_data(recipe))
        self.state = self.trainer.state
        self.arrays = {0: self.current()}

        def keep(batch: int, logs: dict) -> None:
            self.arrays[self.state.step] = self.current()

        self.trainer.callbacks = [keras.callbacks.LambdaCallback(on_train_batch_end=keep)]
        self.trainer.train()
        self.trainer.callbacks = []
        self.validations = validations(self.trainer.run)
        start = time.monotonic()
        self.train(home / "again")
        self.seconds = time.monotonic() - start

    def current(self) -> Arrays:
        return {name: np.array(np.asarray(v)) for name, v in self.trainer.task.variables().items()}

    def train(
        self, run: Path, started: threading.Event | None = None, events: bool = True
    ) -> str | None:
        """Starts or resumes a run folder, as a new process would; returns the error, if any."""
        trainer = self.trainer
        trainer.run = RunFolder(run)
        if not events:
            trainer.run.write_scalars = lambda *_: None  # type: ignore[method-assign]
        trainer.restore(trainer.run.latest() or Checkpoint(0, None, self.arrays[0]))
        if started is not None:
            started.set()
        try:
            trainer.train()
        except Unwritable as error:
            return str(error)
        finally:
            trainer.run._events = None
        return None

    def check(self, run: Path, finished: bool) -> None:
        """Compares a run folder with that of an undisturbed training."""
        last = RunFolder(run).latest()
        step = last.step if last else 0
        for name, array in last.arrays.items() if last else ():
            np.testing.assert_array_equal(array, self.arrays[step][name], f"{name} at step {step}")
        assert not list(run.rglob("*.damaged"))
        assert not finished or (step == self.state.total_steps and (run / "model.keras").exists())


def validations(run: RunFolder) -> list[tuple[int, float]]:
    return [(e["step"], e["val_miou"]) for e in run.read_log() if "val_miou" in e]


def lose_disk(training: Training, fault: str, home: Path, rng: np.random.Generator) -> str:
    """Injects one fault into one training; returns the outcome."""
    disk = Disk(fault, home, rng)
    run = disk.place / "run"
    step = int(rng.integers(1, training.state.total_steps))
    delay = rng.uniform(0, training.seconds / 6)
    started, over = threading.Event(), threading.Event()

    def disturb() -> None:
        while not over.is_set() and (not started.is_set() or training.state.step < step):
            time.sleep(0.002)
        time.sleep(delay)
        disk.damage()

    thread = threading.Thread(target=disturb)
    thread.start()
    try:
        # TensorFlow's writer of events keeps a file of a dead disk open until the process ends.
        error = training.train(run, started, events=fault != "read-only")
        last = training.state.step
        thread.join()
        disk.repair()
        if error is None:
            if fault == "removed" and not run.exists():
                return "removed after the end"
            training.check(run, finished=True)
            outcome = "made again" if fault == "removed" else "unharmed"
        else:
            assert "\n" not in error and str(disk.place) in error
            training.check(run, finished=False)
            assert training.train(run) is None
            training.check(run, finished=True)
            outcome = "stopped" if last < training.state.total_steps else "stopped at the end"
        if fault != "removed":
            assert validations(RunFolder(run)) == training.validations
        return outcome
    finally:
        over.set()
        thread.join()
        disk.close()


def test_nothing_is_lost_with_the_disk(small_recipe, times, rng, tmp_path):
    training = Training(small_recipe, tmp_path)
    outcomes: collections.Counter[tuple[str, str]] = collections.Counter()
    for fault in FAULTS * times(7):
        outcomes[fault, lose_disk(training, fault, tmp_path, rng)] += 1
    for (fault, outcome), count in sorted(outcomes.items()):
        print(f"{fault}: {count} times {outcome}")
