"""Kills a training, goes on, and holds the end against that of an undisturbed one.

    python benchmarks/faults/killed.py [--times 50] [--seed 0]

Each kill (signal 9) comes at a random moment of a phase drawn at random: while the process starts,
takes a step, saves a checkpoint or the model, validates, or writes its results. After each, the
last checkpoint is read; then the run is resumed, to be killed again or to end. At its end its
weights, running statistics, averages and optimizer state are held against those of a run that
nobody killed, bit for bit, and its files against the same list; then the next run begins. Ends with
1 if anything is lost.
"""

from __future__ import annotations

import argparse
import collections
import multiprocessing
import os
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from small import RECIPE, put_network, write_dataset
from tqdm import tqdm

from asap_tf import cli
from asap_tf.training import results, trainer
from asap_tf.training.run_folder import RunFolder

PHASES = ("start", "step", "save", "validation", "results")

CONTEXT = multiprocessing.get_context("fork")
"""A fork has everything imported, and starts in a tenth of the time."""


def entered(owner: object, function: str, name: str, phase: Path) -> None:
    """Lets a function leave word that it is being run."""
    original = getattr(owner, function)

    def wrapped(*args: object, **kwargs: object) -> object:
        phase.write_text(name)
        try:
            return original(*args, **kwargs)
        finally:
            phase.write_text("other")

    setattr(owner, function, wrapped)


def train(phase: Path, told: Path, arguments: list[str]) -> None:
    """A training that leaves word of the phase that it is in, and what it prints."""
    phase.write_text("start")
    with told.open("w") as file:
        for descriptor in (1, 2):
            os.dup2(file.fileno(), descriptor)
    entered(trainer.Trainer, "fit", "step", phase)
    entered(trainer.Trainer, "save", "save", phase)
    entered(trainer.Trainer, "validate", "validation", phase)
    entered(results, "write_results", "results", phase)
    sys.argv = ["asap-tf", "train", *arguments]
    cli.main()


def start(phase: Path, told: Path, *arguments: object) -> multiprocessing.Process:
    process = CONTEXT.Process(target=train, args=(phase, told, [*map(str, arguments)]))
    process.start()
    return process


def durations(phase: Path, told: Path, run: Path, recipe: Path) -> dict[str, float]:
    """Trains undisturbed; returns the mean seconds of a stay in each phase."""
    seconds: collections.Counter[str] = collections.Counter()
    stays: collections.Counter[str] = collections.Counter()
    process, last, before = start(phase, told, recipe, "--out", run), "", time.monotonic()
    while process.is_alive():
        now, name = time.monotonic(), read(phase)
        seconds[name] += now - before
        stays[name] += name != last
        last, before = name, now
        time.sleep(0.001)
    if process.exitcode:
        raise SystemExit(told.read_text())
    return {name: seconds[name] / stays[name] for name in PHASES}


def read(phase: Path) -> str:
    return phase.read_text() if phase.exists() else ""


def killed_in(process: multiprocessing.Process, phase: Path, wanted: str, after: float) -> bool:
    """Kills a process `after` seconds into the next stay in a phase; False if it ended before."""
    while process.is_alive():
        if read(phase) == wanted:
            time.sleep(after)
            if process.is_alive():
                process.kill()
                process.join()
                return True
        time.sleep(0.001)
    return False


def problems(run: Path, reference: Path) -> list[str]:
    """In what a finished run differs from the undisturbed one."""
    found = []
    ours, theirs = RunFolder(run).latest(), RunFolder(reference).latest()
    if ours is None or theirs is None or ours.step != theirs.step:
        return ["another last step"]
    for name, array in theirs.arrays.items():
        if not np.array_equal(array, ours.arrays[name]):
            found.append(f"{name} differs")
    names = [{p.name for p in r.iterdir() if p.name[0] != "."} for r in (run, reference)]
    if names[0] != names[1]:
        found.append(f"files: {sorted(names[0] ^ names[1])}")
    logs = [
        [e["step"] for e in RunFolder(r).read_log() if "val_miou" in e] for r in (run, reference)
    ]
    if logs[0] != logs[1]:
        found.append(f"validations at steps {logs[0]} for {logs[1]}")
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--times", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    rng = np.random.default_rng(options.seed)
    kills: collections.Counter[str] = collections.Counter()
    faults: list[str] = []
    finished = halves = 0
    put_network()
    with tempfile.TemporaryDirectory() as folder, tqdm(total=options.times, unit="kill") as bar:
        home = Path(folder)
        write_dataset(home / "data")
        recipe, phase, told = home / "recipe.yaml", home / "phase", home / "told"
        recipe.write_text(RECIPE.format(root=home / "data"))
        reference, run = home / "reference", home / "run-0"
        stays = durations(phase, told, reference, recipe)
        while sum(kills.values()) < options.times or run.exists():
            resumable = (run / "recipe.yaml").exists()
            arguments = ("--resume", run) if resumable else (recipe, "--out", run)
            phase.unlink(missing_ok=True)
            process = start(phase, told, *arguments)
            wanted = str(rng.choice(PHASES))
            alive = sum(kills.values()) < options.times
            if alive and killed_in(process, phase, wanted, rng.uniform(0, stays[wanted])):
                kills[read(phase)] += 1
                bar.update()
                halves += len([p for p in run.rglob(".*") if p.is_file()])
                try:
                    RunFolder(run).latest()
                except Exception as error:
                    faults.append(f"{wanted}: {error}")
                faults += [f"{wanted}: {p.name}" for p in run.rglob("*.damaged")]
                continue
            process.join()
            if process.exitcode:
                faults.append(f"could not go on: {told.read_text().strip().splitlines()[-1:]}")
            else:
                faults += problems(run, reference)
            finished += 1
            run = home / f"run-{finished}"
    for name, count in sorted(kills.items()):
        print(f"killed in {name}: {count} times")
    print(f"half-written files found beside whole ones: {halves}")
    print(f"runs brought to their end: {finished}; faults: {len(faults)}")
    print(*faults, sep="\n")
    return bool(faults)


if __name__ == "__main__":
    sys.exit(main())
