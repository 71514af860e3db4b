"""Trains and predicts for thousands of steps and frames, and watches what piles up.

    python benchmarks/faults/long_run.py [--steps 3000] [--only train|predict|mixed]

`train`: steps of ASAP at an eighth of the width with validations and checkpoints. `predict`: the
same frame again and again, by Keras and by LiteRT. `mixed`: a thousand calls of random sizes,
counts and formats (arrays, files of five kinds) in one process, each answer held against the
frame's size. Resident memory, open descriptors and threads are noted after a tenth of the way, when
everything is warm, and at the end: memory may grow by 5 %, the others not at all. Ends with 1 where
they do.
"""

from __future__ import annotations

import argparse
import gc
import logging
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import cv2
import keras
import numpy as np
from small import RECIPE, write_dataset
from tqdm import tqdm

import asap_tf
from asap_tf.benchmark.machine import proc_fields
from asap_tf.data.camvid import CLASSES
from asap_tf.runtime import Segmenter
from asap_tf.saving.keras_file import save_model

GROWTH = 1.05
ENDINGS = (".png", ".jpg", ".webp", ".bmp", ".tif")


class Held(NamedTuple):
    """What this process holds."""

    memory: int
    descriptors: int
    threads: int

    @classmethod
    def now(cls) -> Held:
        gc.collect()
        memory = int(proc_fields("self/status")["VmRSS"].split()[0]) * 1024
        return cls(memory, len(os.listdir("/proc/self/fd")), len(os.listdir("/proc/self/task")))


def train(steps: int, home: Path) -> tuple[Held, Held]:
    from asap_tf.training import check_data
    from asap_tf.training.recipe import load_recipe
    from asap_tf.training.run_folder import RunFolder
    from asap_tf.training.trainer import Trainer

    write_dataset(home / "data")
    (home / "recipe.yaml").write_text(RECIPE.format(root=home / "data"))
    # 20 frames in batches of 4: five steps an epoch.
    recipe = load_recipe(
        home / "recipe.yaml", [f"train.epochs={steps // 5}", "train.validate_every=100"]
    )
    held: dict[int, Held] = {}

    def watch(epoch: int, logs: dict) -> None:
        held[5 * (epoch + 1)] = Held.now()

    callbacks = [keras.callbacks.LambdaCallback(on_epoch_end=watch)]
    Trainer(RunFolder(home / "run"), recipe, check_data(recipe), callbacks=callbacks).train()
    # Validation, with a graph of its own, has to come before the first count.
    return held[max(steps // 10, 505)], held[steps]


def model(home: Path) -> Path:
    network = asap_tf.ASAPNet(11, (None, None, 3), width=0.125)
    save_model(network, home / "model.keras", CLASSES, (64, 96))
    return home / "model.keras"


def repeated(count: int, call: Callable[[int], None]) -> tuple[Held, Held]:
    before = None
    for i in tqdm(range(count), unit="frame", disable=None):
        call(i)
        if i == count // 10:
            before = Held.now()
    assert before is not None
    return before, Held.now()


def predict(count: int, segmenter: Segmenter) -> tuple[Held, Held]:
    frame = np.random.default_rng(0).integers(0, 256, (1, 64, 96, 3), np.uint8)
    return repeated(count, lambda _: segmenter.predict(frame))


def mixed(count: int, segmenter: Segmenter, home: Path) -> tuple[Held, Held]:
    from asap_tf.inference.files import predict_inputs

    logging.disable()
    rng = np.random.default_rng(0)
    source, out = home / "source", home / "out"
    source.mkdir()

    def call(_: int) -> None:
        height, width = (int(side) for side in rng.integers(1, 400, 2))
        frames = rng.integers(0, 256, (rng.integers(1, 5), height, width, 3), np.uint8)
        if rng.random() < 0.7:
            labels = segmenter.predict(frames)
            assert labels.shape == frames.shape[:3], (labels.shape, frames.shape)
            return
        files = []
        for i, frame in enumerate(frames):
            files.append(source / f"{i}{rng.choice(ENDINGS)}")
            cv2.imwrite(str(files[-1]), frame)
        for written in predict_inputs(segmenter, files, out, "ids"):
            assert cv2.imread(str(written), cv2.IMREAD_UNCHANGED).shape == (height, width)
        for file in files:
            file.unlink()

    return repeated(count, call)


def export(keras_file: Path, home: Path) -> Path:
    """LiteRT's file of the model, from a process of its own."""
    command = ["export", keras_file, "--out", home / "export", "--tflite", "--size", "64x96"]
    subprocess.run([sys.executable, "-m", "asap_tf.cli", *map(str, command)], check=True)
    (file,) = (home / "export").glob("*.tflite")
    return file


def judged(name: str, counts: tuple[Held, Held]) -> bool:
    """Prints a line; returns whether nothing piled up."""
    before, after = counts
    growth = after.memory / before.memory
    kept = after.descriptors <= before.descriptors and after.threads <= before.threads
    print(
        f"{name}: {before.memory / 1e6:.0f} to {after.memory / 1e6:.0f} MB ({growth - 1:+.1%}), "
        f"descriptors {before.descriptors} to {after.descriptors}, "
        f"threads {before.threads} to {after.threads}",
        flush=True,
    )
    return growth <= GROWTH and kept


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--only", choices=("train", "predict", "mixed"))
    options = parser.parse_args()
    sound = []
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        keras_file = model(home)
        if options.only != "train":
            lite = asap_tf.load(export(keras_file, home))
        if options.only in ("predict", None):
            name = f"{options.steps} predictions"
            sound.append(judged(f"{name}, LiteRT", predict(options.steps, lite)))
            keras_model = asap_tf.load(keras_file)
            sound.append(judged(f"{name}, Keras", predict(options.steps, keras_model)))
        if options.only in ("mixed", None):
            count = options.steps // 3
            sound.append(judged(f"{count} mixed calls, LiteRT", mixed(count, lite, home)))
        if options.only in ("train", None):
            sound.append(judged(f"{options.steps} training steps", train(options.steps, home)))
    return not all(sound)


if __name__ == "__main__":
    sys.exit(main())
