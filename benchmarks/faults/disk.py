"""Takes the disk from trainings, and holds that each ends as an undisturbed one does.

    python benchmarks/faults/disk.py [--times 60] [--seed 0]        (as root, on Linux: it mounts)

At a random moment after a random step of a training, its small disk is filled to the last byte or
nearly so (a tmpfs), falls back to read-only as after an error (ext4, which then forgets what was
not flushed), or its run folder is removed. Nothing else than one error in one line may come of it,
and the last checkpoint has to be whole and that of an undisturbed training at the same step, bit
for bit. Then the disk is repaired, and the training resumed if it ended early: its last weights,
averages and optimizer state have to be the undisturbed ones, and its log has to hold the same
validations. Ends with 1 if there is a fault.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import gc
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import keras
import numpy as np
from small import RECIPE, put_network, write_dataset
from tqdm import tqdm

from asap_tf.core.files import Unwritable
from asap_tf.training import check_data
from asap_tf.training.recipe import load_recipe
from asap_tf.training.run_folder import Checkpoint, RunFolder
from asap_tf.training.trainer import Trainer

FAULTS = ("full", "read-only", "removed")
MEGABYTES = 48
Arrays = dict[str, np.ndarray]


def command(*arguments: object) -> None:
    done = subprocess.run([*map(str, arguments)], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(map(str, arguments))}: {done.stderr.strip()}")


class Disk:
    """A small disk of its own that faults are injected into."""

    def __init__(self, fault: str, home: Path, rng: np.random.Generator):
        self.fault = fault
        self.image, self.place = home / "image", home / "disk"
        self.left = int(rng.choice([0, 512, 4096, 50_000]))
        self.place.mkdir(exist_ok=True)
        if fault == "read-only":
            # A new file, as what still holds the one before would bring its dead disk back.
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

    def break_it(self) -> None:
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

    def mend(self) -> None:
        if self.fault == "read-only":
            gc.collect()
            command("umount", self.place)
            self.mount()
        else:
            (self.place / "filler").unlink(missing_ok=True)

    def close(self) -> None:
        gc.collect()
        command("umount", "-l", self.place)


class Campaign:
    """One training, started again and again; `arrays` are an undisturbed one's, by step."""

    def __init__(self, home: Path):
        self.recipe = load_recipe(home / "recipe.yaml")
        self.trainer = Trainer(RunFolder(home / "whole"), self.recipe, check_data(self.recipe))
        self.arrays = {0: self.state()}

        def watch(batch: int, logs: dict) -> None:
            self.arrays[self.trainer.state.step] = self.state()

        self.trainer.callbacks = [keras.callbacks.LambdaCallback(on_train_batch_end=watch)]
        self.trainer.train()
        self.trainer.callbacks = []
        self.validations = validations(self.trainer.run)
        start = time.monotonic()
        self.train(home / "again")
        self.seconds = time.monotonic() - start

    def state(self) -> Arrays:
        return {name: np.array(np.asarray(v)) for name, v in self.trainer.task.variables().items()}

    def train(
        self,
        run: Path,
        started: threading.Event | None = None,
        events: bool = True,
    ) -> str | None:
        """Resumes a run folder, as a new process would; returns the error, if any."""
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

    def problems(self, run: Path, finished: bool) -> Iterator[str]:
        """In what a run folder differs from that of an undisturbed training."""
        last = RunFolder(run).latest()
        step = last.step if last else 0
        for name, array in last.arrays.items() if last else ():
            if not np.array_equal(array, self.arrays[step][name]):
                yield f"{name} at step {step} differs"
        if list(run.rglob("*.damaged")):
            yield "a damaged checkpoint"
        if finished and step != self.trainer.state.total_steps:
            yield f"ends at step {step}"
        if finished and not (run / "model.keras").exists():
            yield "no model.keras"


def validations(run: RunFolder) -> list[tuple[int, float]]:
    return [(e["step"], e["val_miou"]) for e in run.read_log() if "val_miou" in e]


def trial(
    campaign: Campaign, fault: str, home: Path, rng: np.random.Generator
) -> tuple[str, list[str]]:
    """What one fault led to, and what is wrong with that."""
    disk = Disk(fault, home, rng)
    run = disk.place / "run"
    step = int(rng.integers(1, campaign.trainer.state.total_steps))
    delay = rng.uniform(0, campaign.seconds / 6)

    def disturb() -> None:
        while not started.is_set() or campaign.trainer.state.step < step:
            time.sleep(0.002)
        time.sleep(delay)
        disk.break_it()

    started = threading.Event()
    thread = threading.Thread(target=disturb)
    thread.start()
    wrong: list[str] = []
    try:
        # TensorFlow's writer of events keeps a dead disk's file open until the process ends.
        told = campaign.train(run, started, events=fault != "read-only")
        last = campaign.trainer.state.step
        thread.join()
        if told is not None and ("\n" in told or str(disk.place) not in told):
            wrong.append(f"said {told}")
        disk.mend()
        if told is None and fault != "removed":
            result = "unharmed"
        else:
            total = campaign.trainer.state.total_steps
            result = f"told, {'stopped' if last < total else 'at the end'}"
        if told is None and fault == "removed":
            result = "made again" if run.exists() else "removed after the end"
        if result == "removed after the end":
            return result, wrong
        wrong += campaign.problems(run, told is None)
        if told is not None:
            again = campaign.train(run)
            wrong += [again] if again else campaign.problems(run, True)
        found = validations(RunFolder(run))
        if fault != "removed" and found != campaign.validations:
            wrong.append(f"validations {found} for {campaign.validations}")
    except Exception as error:
        result = "fault"
        wrong.append(f"{type(error).__name__}: {error}")
        campaign.trainer.state.step = campaign.trainer.state.total_steps
        started.set()
        thread.join()
    finally:
        disk.close()
    return result, [f"{fault}, {delay:.2f} s after step {step}: {w}" for w in wrong]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--times", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    if os.geteuid():
        parser.error("only root may mount disks")
    rng = np.random.default_rng(options.seed)
    results: collections.Counter[tuple[str, str]] = collections.Counter()
    wrong: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        write_dataset(home / "data")
        (home / "recipe.yaml").write_text(RECIPE.format(root=home / "data"))
        put_network()
        campaign = Campaign(home)
        for i in tqdm(range(options.times), unit="fault"):
            fault = FAULTS[i % 3]
            result, found = trial(campaign, fault, home, rng)
            results[fault, result] += 1
            wrong += found
    for (fault, result), count in sorted(results.items()):
        print(f"{fault}: {count} times {result}")
    print(f"faults: {len(wrong)}", *wrong, sep="\n")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
