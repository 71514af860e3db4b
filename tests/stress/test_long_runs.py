"""Thousands of training steps and predictions, and what piles up meanwhile.

Resident memory, open descriptors and threads are counted after a tenth of the way, when everything
is warm, and at the end: memory may grow by 5 %, the others not at all.
"""

from __future__ import annotations

import gc
import logging
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import pytest

import asap_tf
from asap_tf.core.system import proc_fields

pytestmark = [
    pytest.mark.stress,
    pytest.mark.skipif(sys.platform != "linux", reason="counts in /proc"),
]

GROWTH = 1.05
ENDINGS = (".png", ".jpg", ".webp", ".bmp", ".tif")


class Resources(NamedTuple):
    """Resources of this process."""

    memory: int
    descriptors: int
    threads: int

    @classmethod
    def now(cls) -> Resources:
        gc.collect()
        memory = int(proc_fields("self/status")["VmRSS"].split()[0]) * 1024
        return cls(memory, len(os.listdir("/proc/self/fd")), len(os.listdir("/proc/self/task")))


def check(before: Resources, after: Resources) -> None:
    print(
        f"{before.memory / 1e6:.0f} to {after.memory / 1e6:.0f} MB "
        f"({after.memory / before.memory - 1:+.1%}), descriptors {before.descriptors} to "
        f"{after.descriptors}, threads {before.threads} to {after.threads}"
    )
    assert after.memory <= GROWTH * before.memory
    assert after.descriptors <= before.descriptors and after.threads <= before.threads


def repeat(count: int, call: Callable[[], object]) -> None:
    for _ in range(max(1, count // 10)):
        call()
    before = Resources.now()
    for _ in range(count - count // 10):
        call()
    check(before, Resources.now())


@pytest.fixture(scope="module")
def models(tmp_path_factory) -> dict[str, Path]:
    """ASAP at an eighth of its width, by Keras and by LiteRT."""
    from asap_tf.data.camvid import CLASSES
    from asap_tf.saving import save_model

    folder = tmp_path_factory.mktemp("models")
    keras_file, export = folder / "model.keras", folder / "export"
    save_model(asap_tf.ASAPNet(11, (None, None, 3), width=0.125), keras_file, CLASSES, (64, 96))
    command = ["export", keras_file, "--out", export, "--tflite", "--size", "64x96"]
    subprocess.run([sys.executable, "-m", "asap_tf.cli", *map(str, command)], check=True)
    return {"Keras": keras_file, "LiteRT": export / "asap_fp32.tflite"}


@pytest.mark.parametrize("runtime", ["Keras", "LiteRT"])
def test_the_same_frame_again_and_again(runtime, models, times):
    segmenter = asap_tf.load(models[runtime])
    frame = np.random.default_rng(0).integers(0, 256, (1, 64, 96, 3), np.uint8)
    repeat(times(3000), lambda: segmenter.predict(frame))


def test_calls_of_random_sizes_counts_and_formats(models, times, rng, tmp_path, monkeypatch):
    from asap_tf.inference.files import predict_inputs

    monkeypatch.setattr(logging.root.manager, "disable", logging.CRITICAL)
    segmenter = asap_tf.load(models["LiteRT"])
    source, out = tmp_path / "source", tmp_path / "out"
    source.mkdir()

    def call() -> None:
        height, width = (int(side) for side in rng.integers(1, 400, 2))
        frames = rng.integers(0, 256, (rng.integers(1, 5), height, width, 3), np.uint8)
        if rng.random() < 0.7:
            assert segmenter.predict(frames).shape == frames.shape[:3]
            return
        files = [source / f"{i}{rng.choice(ENDINGS)}" for i in range(len(frames))]
        for file, frame in zip(files, frames, strict=True):
            cv2.imwrite(str(file), frame)
        for written in predict_inputs(segmenter, files, out, "ids"):
            assert cv2.imread(str(written), cv2.IMREAD_UNCHANGED).shape == (height, width)
        for file in files:
            file.unlink()

    repeat(times(1000), call)


def test_training(small_recipe, times, tmp_path):
    import keras

    from asap_tf.training import check_data
    from asap_tf.training.recipe import load_recipe
    from asap_tf.training.run_folder import RunFolder
    from asap_tf.training.trainer import Trainer

    epochs = times(600)
    settings = [f"train.epochs={epochs}", "train.validate_every=50"]
    recipe = load_recipe(small_recipe, settings)
    counted: dict[int, Resources] = {}

    def count(epoch: int, logs: dict) -> None:
        counted[epoch + 1] = Resources.now()

    callback = keras.callbacks.LambdaCallback(on_epoch_end=count)
    run = RunFolder(tmp_path / "run")
    Trainer(run, recipe, check_data(recipe), callbacks=[callback]).train()
    # The first validation has a graph of its own.
    check(counted[max(epochs // 10, 51)], counted[epochs])
