"""`asap-tf` on several hosts, which are processes of this machine, and a recipe for all of them."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from asap_tf.training.run_folder import RunFolder

PROCESS = Path(__file__).with_name("host_process.py")
TRAIN_FRAMES, VAL_FRAMES, BATCH, EPOCHS = 19, 7, 4, 3
STEPS = TRAIN_FRAMES // BATCH * EPOCHS
TOLERANCE = 1e-4
RECIPE = f"""
name: hosts
augment: {{crop: [32, 64], scales: [0.75, 1.0, 1.5]}}
optimizer: {{learning_rate: 0.001, ema: 0.9, clip_norm: 1.0}}
train: {{epochs: {EPOCHS}, batch_size: {BATCH}, precision: float32}}
data: {{root: ROOT}}
"""
"""At a hundred times the learning rate, rounding alone parts two runs after 20 steps."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("", 0))
        return probe.getsockname()[1]


def write_dataset(root: Path) -> None:
    """CamVid's layout, colored blocks."""
    rng = np.random.default_rng(0)
    colors = rng.integers(0, 256, (12, 3)).astype("uint8")
    for split, count in (("train", TRAIN_FRAMES), ("val", VAL_FRAMES)):
        for folder in (split, f"{split}annot"):
            (root / folder).mkdir(parents=True)
        for i in range(count):
            mask = np.kron(rng.integers(0, 12, (3, 4)), np.ones((16, 16))).astype("uint8")
            Image.fromarray(colors[mask]).save(root / split / f"{i}.png")
            Image.fromarray(mask).save(root / f"{split}annot" / f"{i}.png")


class HostRunner:
    """Starts commands of `asap-tf` on one host or on two.

    Args:
        home: Empty folder for the dataset, the recipe and what the commands write.
        before: Words to put before the command of each of two hosts.
        address: Address of the first of them.
    """

    def __init__(self, home: Path, before=((), ()), address: str = "127.0.0.1"):
        self.home = home
        self.before = before
        self.address = address
        self.data = home / "data"
        self.recipe = home / "recipe.yaml"
        write_dataset(self.data)
        self.recipe.write_text(RECIPE.replace("ROOT", str(self.data)))

    def start(self, *arguments: object, host: int | None = None, **environment: object):
        before = self.before[host] if host is not None else ()
        wanted = {
            "KERAS_BACKEND": "jax",
            "JAX_PLATFORMS": "cpu",
            "JAX_DISABLE_MOST_OPTIMIZATIONS": 1,  # Compiling is most of the work here.
        } | environment
        return subprocess.Popen(
            [*before, sys.executable, str(PROCESS), *map(str, arguments)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {k: str(v) for k, v in wanted.items()},
        )

    def pair(self, *arguments: object, environments: tuple[dict, dict] = ({}, {})):
        """Starts two hosts on the same command."""
        coordinator = f"{self.address}:{free_port()}"
        return [
            self.start(*arguments, "--hosts", 2, "--coordinator", coordinator, "--host-id", i,
                       host=i, **environments[i])
            for i in range(2)
        ]  # fmt: skip

    def train(self, name: str, **environment: object) -> Path:
        """Trains in one process; returns the run folder."""
        run = self.home / name
        finish(self.start("train", self.recipe, "--out", run, **environment))
        return run


def finish(*processes: subprocess.Popen) -> None:
    """Waits for processes that have to end well."""
    for process in processes:
        _, errors = process.communicate(timeout=600)
        assert process.returncode == 0, f"{process.args}: {process.returncode}\n{errors[-3000:]}"


def error_lines(process: subprocess.Popen) -> list[str]:
    """Waits for a process; returns the lines that tell a person of an error."""
    _, errors = process.communicate(timeout=600)
    return [line for line in errors.splitlines() if line.startswith("Error: ")]


def assert_same_end(run: Path, reference: Path) -> None:
    """Fails unless two trainings ended with the same weights and scores, to `TOLERANCE`."""
    ours, theirs = RunFolder(run).latest(), RunFolder(reference).latest()
    assert ours.step == theirs.step == STEPS
    off = {
        n: float(np.abs(ours.arrays[n].astype("float64") - array).max())
        for n, array in theirs.arrays.items()
    }
    scores = [json.loads((r / "metrics.json").read_text())["miou"] for r in (run, reference)]
    print(f"{run.name}: weights within {max(off.values()):.1e}, mIoU {scores[0]:.4%}, "
          f"{scores[1]:.4%} of {reference.name}")  # fmt: skip
    assert {n: o for n, o in off.items() if o >= TOLERANCE} == {}
    assert abs(scores[0] - scores[1]) < TOLERANCE
