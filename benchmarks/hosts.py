"""Holds training on several hosts, and on several devices, against training on one.

    python benchmarks/hosts.py [--seed 0]

Hosts are processes, each in a network namespace with an address and a name of its own where the
system allows it (root on Linux), else on loopback. All start from the same recipe:

- one process, the reference; two hosts with the same global batch; one process with four devices;
  the last two end with its weights to 1e-4 and its scores, and the hosts read each frame once;
- either host is killed (signal 9) in a step drawn at random: the other has to end within 60 s, with
  1 and one line; the run goes on with one host, and from a copy with two, to the reference's end;
- host 1 is asked to end (SIGTERM): both end after the same step, and save;
- on TensorFlow, one device against two;
- `asap-tf eval` of the reference by two hosts against one.

Ends with 1 if anything does not hold. About five minutes of two processor cores.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from asap_tf.training.run_folder import RunFolder

PROCESS = Path(__file__).with_name("hosts_process.py")
TRAIN_FRAMES, VAL_FRAMES, BATCH, EPOCHS = 43, 7, 4, 5
STEPS = TRAIN_FRAMES // BATCH * EPOCHS
TOLERANCE = 1e-4
RECIPE = f"""
name: hosts
augment: {{crop: [32, 64], scales: [0.75, 1.0, 1.5]}}
optimizer: {{learning_rate: 0.001, ema: 0.9, clip_norm: 1.0}}
train: {{epochs: {EPOCHS}, batch_size: {BATCH}, precision: float32, validate_every: {EPOCHS}}}
data: {{root: ROOT}}
"""
"""At a hundred times the learning rate, rounding alone parts two runs after 20 steps."""


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


@contextlib.contextmanager
def namespaces() -> Iterator[list[list[str]]]:
    """For each of two hosts, what to put before its command; two empty lists without rights."""
    tag = f"asap{os.getpid()}"
    made, hosts = [f"{tag}-{i}" for i in range(2)], Path("/etc/netns")

    def ip(*arguments: str, **options) -> None:
        subprocess.run(["ip", *arguments], check=True, capture_output=True, **options)

    try:
        try:
            for name in made:
                ip("netns", "add", name)
            ip("link", "add", f"{tag}a", "netns", made[0], "type", "veth", "peer", f"{tag}b",
               "netns", made[1])  # fmt: skip
            for i, name in enumerate(made):
                ip("-n", name, "addr", "add", f"10.97.0.{i + 1}/24", "dev", f"{tag}{'ab'[i]}")
                for device in ("lo", f"{tag}{'ab'[i]}"):
                    ip("-n", name, "link", "set", device, "up")
                (hosts / name).mkdir(parents=True)
                (hosts / name / "hosts").write_text(
                    f"127.0.0.1 localhost\n10.97.0.{i + 1} {name}\n"
                )
            before = [
                ["ip", "netns", "exec", name, "unshare", "--uts", "sh", "-c",
                 f'hostname {name}; exec "$@"', "sh"]
                for name in made
            ]  # fmt: skip
            for command in before:
                subprocess.run([*command, "true"], check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError):
            before = [[], []]
        yield before
    finally:
        for name in made:
            with contextlib.suppress(OSError, subprocess.CalledProcessError):
                ip("netns", "del", name)
            shutil.rmtree(hosts / name, ignore_errors=True)


class Bench:
    """Starts hosts, and keeps what did not hold."""

    def __init__(self, home: Path, before: list[list[str]]):
        self.home = home
        self.before = before
        self.recipe = home / "recipe.yaml"
        self.faults: list[str] = []
        write_dataset(home / "data")
        self.recipe.write_text(RECIPE.replace("ROOT", str(home / "data")))

    def start(self, *arguments: object, host: int | None = None, **environment: object):
        command = [sys.executable, str(PROCESS), *map(str, arguments)]
        if host is not None:
            command = [*self.before[host], *command]
        wanted = {
            "KERAS_BACKEND": "jax",
            "JAX_PLATFORMS": "cpu",
            "JAX_DISABLE_MOST_OPTIMIZATIONS": 1,  # Compiling is most of the work here.
        } | environment
        return subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {k: str(v) for k, v in wanted.items()},
        )

    def pair(self, *arguments: object, environments: tuple[dict, dict] = ({}, {})):
        """Starts two hosts on the same command."""
        with socket.socket() as probe:
            probe.bind(("", 0))
            port = probe.getsockname()[1]
        address = "10.97.0.1" if self.before[0] else "127.0.0.1"
        shared = ("--hosts", 2, "--coordinator", f"{address}:{port}")
        return [
            self.start(*arguments, *shared, "--host-id", i, host=i, **environments[i])
            for i in range(2)
        ]

    def finish(self, *processes: subprocess.Popen) -> None:
        """Waits for processes that have to end well."""
        for process in processes:
            _, told = process.communicate(timeout=900)
            if process.returncode:
                raise SystemExit(f"{process.args}: ended with {process.returncode}\n{told}")

    def hold(self, what: str, holds: bool) -> None:
        print(f"{'holds' if holds else 'DOES NOT HOLD'}: {what}", flush=True)
        if not holds:
            self.faults.append(what)

    def same(self, what: str, run: Path, reference: Path) -> None:
        """Holds the end of one run against that of another."""
        ours, theirs = RunFolder(run).latest(), RunFolder(reference).latest()
        off = max(
            float(np.abs(ours.arrays[name].astype("float64") - array).max())
            for name, array in theirs.arrays.items()
        )
        scores = [json.loads((r / "metrics.json").read_text())["miou"] for r in (run, reference)]
        told = f"{what}: after {ours.step} steps weights within {off:.1e}, mIoU {scores[0]:.4%}"
        steps = ours.step == theirs.step == STEPS
        self.hold(
            f"{told}, the reference's {scores[1]:.4%}",
            steps and off < TOLERANCE and abs(scores[0] - scores[1]) < TOLERANCE,
        )

    def reference(self, name: str, **environment: object) -> Path:
        run = self.home / name
        self.finish(self.start("train", self.recipe, "--out", run, **environment))
        return run

    def two_hosts(self, reference: Path) -> None:
        run, reads = self.home / "two", [self.home / f"reads-{i}" for i in range(2)]
        environments = tuple({"READS": path} for path in reads)
        self.finish(*self.pair("train", self.recipe, "--out", run, environments=environments))
        self.same("two hosts", run, reference)
        seen = [path.read_text().split() for path in reads]
        whole = TRAIN_FRAMES // BATCH * BATCH
        share = whole // 2
        for epoch in range(EPOCHS):
            parts = [names[epoch * share : (epoch + 1) * share] for names in seen]
            counts = collections.Counter(parts[0] + parts[1])
            self.hold(
                f"epoch {epoch + 1}: {len(parts[0])} and {len(parts[1])} frames read, "
                f"{len(counts)} different of {TRAIN_FRAMES}, none more than "
                f"{max(counts.values())} time",
                len(counts) == whole == sum(counts.values()) == len(parts[0]) * 2,
            )

    def lose(self, victim: int, step: int) -> Path:
        """Kills one of two hosts in a step, and looks at how the other ends."""
        run, environments = self.home / f"without-{victim}", ({}, {})
        environments[victim]["DIE_AT"] = step
        both = self.pair("train", self.recipe, "--out", run, environments=environments)
        both[victim].wait(timeout=900)
        died, other = time.monotonic(), both[1 - victim]
        _, told = other.communicate(timeout=900)
        seconds = time.monotonic() - died
        errors = [line for line in told.splitlines() if line.startswith("Error: ")]
        print(*errors, sep="\n")
        said = len(errors) == 1 and f"host {victim} of 2" in errors[0]
        self.hold(
            f"host {victim} killed in step {step}: the other ended {seconds:.1f} s later with "
            f"{other.returncode}, in one line that names the lost one and how to go on",
            said and f"--resume {run}" in errors[0] and seconds < 60 and other.returncode == 1,
        )
        return run

    def killed(self, reference: Path, rng: np.random.Generator) -> None:
        per_epoch = STEPS // EPOCHS
        step = int(rng.integers(per_epoch + 2, STEPS - per_epoch))
        self.lose(0, step)
        run, copy = self.lose(1, step), self.home / "copy"
        shutil.copytree(run, copy)
        self.finish(self.start("train", "--resume", run))
        self.same("gone on with one host", run, reference)
        self.finish(*self.pair("train", "--resume", copy))
        self.same("gone on with two hosts", copy, reference)

    def stopped(self) -> None:
        run = self.home / "stopped"
        step = STEPS // 2 + 1
        both = self.pair("train", self.recipe, "--out", run, environments=({}, {"STOP_AT": step}))
        told = [process.communicate(timeout=900)[1] for process in both]
        saved = RunFolder(run).latest().step
        self.hold(
            f"host 1 asked to end in step {step}: both ended with {both[0].returncode}, "
            f"{both[1].returncode}, saved after step {saved}",
            all(process.returncode == 143 for process in both)
            and saved == step
            and all(f"stopped at step {step} of {STEPS} and saved" in text for text in told),
        )

    def devices(self, reference: Path) -> None:
        four = "--xla_force_host_platform_device_count=4"
        self.same("four devices of JAX", self.reference("four", XLA_FLAGS=four), reference)
        one, two = (self.reference(f"tf{n}", KERAS_BACKEND="tensorflow", DEVICES=n) for n in (1, 2))
        self.same("two devices of TensorFlow", two, one)

    def scores(self, reference: Path) -> None:
        arguments = ("eval", reference / "model.keras", "--data", self.home / "data", "--json")
        alone, together = self.home / "alone.json", self.home / "together.json"
        tensorflow = {"KERAS_BACKEND": "tensorflow"}
        self.finish(self.start(*arguments, alone, **tensorflow))
        self.finish(*self.pair(*arguments, together, environments=(tensorflow, tensorflow)))
        self.hold(
            "eval by two hosts gives the very scores of one, with a model trained on JAX, on "
            "TensorFlow",
            json.loads(alone.read_text()) == json.loads(together.read_text()),
        )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, namespaces() as before:
        print("network namespaces" if before[0] else "loopback", "for two hosts", flush=True)
        bench = Bench(Path(folder), before)
        reference = bench.reference("one")
        bench.two_hosts(reference)
        bench.killed(reference, np.random.default_rng(options.seed))
        bench.stopped()
        bench.devices(reference)
        bench.scores(reference)
    print(f"faults: {len(bench.faults)}")
    return bool(bench.faults)


if __name__ == "__main__":
    sys.exit(main())
