"""ASAP and its rivals on a GPU, by Keras on JAX, in float16 and as trained.

    KERAS_BACKEND=jax python benchmarks/gpu.py > gpu.md

Every network gets random weights and 19 classes, takes uint8 frames that lie on the GPU and gives
label maps of their size in the processor's memory; all run in turn, in the same rounds. This is
without TensorRT, for which see `asap-tf export --trt`.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import click
import numpy as np
from tqdm import tqdm

os.environ.setdefault("KERAS_BACKEND", "jax")

import jax
import keras

from asap_tf.benchmark.machine import this_machine
from asap_tf.benchmark.markdown import figure, machine_lines, table, warning_lines
from asap_tf.benchmark.rounds import measure
from asap_tf.benchmark.statistics import speedup, summarize
from asap_tf.models import create_model
from asap_tf.reproduce.paper import TABLE_1
from asap_tf.reproduce.table1 import ratio_text
from asap_tf.runtime.keras_network import KerasNetwork
from asap_tf.training.precision import dtype_policy

ANY_SIZE = (None, None, 3)
KINDS = {
    "512 x 1024": (1, 512, 1024),
    "1024 x 2048": (1, 1024, 2048),
}
"""Frames, height and width by row."""

WARM_UP, ROUNDS = 3, 30

ENTRIES: dict[str, Callable[[], keras.Model]] = {
    "ASAP": lambda: create_model("asap", 19, ANY_SIZE),
    "ASAP at half width": lambda: create_model("asap", 19, ANY_SIZE, width=0.5),
    "ASAP, Lite0": lambda: create_model("asap", 19, ANY_SIZE, backbone="efficientnet_lite0"),
} | {
    network.title.removesuffix(" (TRT)"): lambda name=network.name: create_model(name, 19, ANY_SIZE)
    for network in TABLE_1
    if network.name not in (None, "asap")
}


class Frames:
    """A network, on all kinds of frames; a `Runner`."""

    def __init__(self, build: Callable[[], keras.Model]):
        with dtype_policy("mixed_float16"):
            self.network = KerasNetwork(build())
        rng = np.random.default_rng(0)
        self.frames = {
            kind: jax.device_put(rng.integers(0, 256, (*shape, 3), np.uint8))
            for kind, shape in KINDS.items()
        }

    def turn(self) -> Mapping[str, float]:
        """Seconds a frame, of every kind."""
        return {kind: self.time(frames) for kind, frames in self.frames.items()}

    def time(self, frames: Any) -> float:
        """Seconds a frame, of the second of two runs."""
        for _ in range(2):
            start = time.perf_counter()
            self.network.labels(frames, frames.shape[1:3])
            seconds = time.perf_counter() - start
        return seconds / len(frames)


@click.command()
def main() -> None:
    """Prints the table."""
    machine = this_machine()
    runners = {title: Frames(build) for title, build in ENTRIES.items()}
    with ThreadPoolExecutor() as pool:
        list(tqdm(pool.map(Frames.turn, runners.values()), "compiling", len(runners)))
    measure([*runners.values()], 0, least=WARM_UP)
    rounds = measure([*runners.values()], 0, least=ROUNDS)
    device = jax.devices()[0].device_kind
    print(*machine_lines(machine), sep="\n")
    print(f"- Keras {keras.__version__} on JAX {jax.__version__}, {device}, float16")
    print(f"- medians of {len(rounds)} interleaved rounds, 95 % intervals")
    print(*warning_lines(machine), "", sep="\n")
    rows = []
    for index, title in enumerate(runners):
        row = [title]
        for kind in KINDS:
            own = [turns[index][kind] for turns in rounds]
            asap = [turns[0][kind] for turns in rounds]
            row += [figure(summarize(own).rate), ratio_text(speedup(own, asap))]
        rows.append(row)
    header = ["network"]
    for kind in KINDS:
        header += [f"{kind}, FPS", "ASAP is faster by"]
    print(*table(header, rows, "l" + "r" * (len(header) - 1)), sep="\n")


if __name__ == "__main__":
    main()
