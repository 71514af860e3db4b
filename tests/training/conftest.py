from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import keras
import numpy as np
import pytest
from PIL import Image

import support.tiny  # noqa: F401
from asap_tf.training import check_data
from asap_tf.training.recipe import Recipe, validate
from asap_tf.training.run_folder import RunFolder
from asap_tf.training.trainer import Trainer


@pytest.fixture(scope="session")
def blocks(tmp_path_factory):
    def make(**counts: int) -> Path:
        """Frames of colored blocks in CamVid's layout, so many of each split."""
        root = tmp_path_factory.mktemp("camvid")
        rng = np.random.default_rng(0)
        colors = rng.integers(0, 256, (12, 3)).astype("uint8")
        for split, count in counts.items():
            (root / split).mkdir()
            (root / f"{split}annot").mkdir()
            for i in range(count):
                mask = np.kron(rng.integers(0, 12, (3, 4)), np.ones((16, 16))).astype("uint8")
                Image.fromarray(colors[mask]).save(root / split / f"{i}.png")
                Image.fromarray(mask).save(root / f"{split}annot" / f"{i}.png")
        return root

    return make


@pytest.fixture(scope="session")
def tiny_root(blocks) -> Path:
    return blocks(train=5, val=2)


@pytest.fixture(scope="session")
def tiny_recipe(tiny_root):
    def make(**sections) -> Recipe:
        """A recipe of three epochs of two steps: most tests are about what is around a network."""
        values = {
            "name": "tiny",
            "data": {"root": str(tiny_root)},
            "model": {"name": "tiny"},
            "augment": {"crop": (32, 64), "scales": (0.75, 1.0, 1.5), "brightness": 0.2},
            "optimizer": {"ema": 0.9},
            "train": {"epochs": 3, "batch_size": 2, "precision": "float32"},
        }
        for name, section in sections.items():
            values[name] = {**values.get(name, {}), **section}
        return validate(values, "tiny")

    return make


@pytest.fixture(scope="session")
def trainer():
    def make(run: Path, recipe: Recipe, *callbacks: keras.callbacks.Callback) -> Trainer:
        return Trainer(RunFolder(run), recipe, check_data(recipe), callbacks=callbacks)

    return make


@contextlib.contextmanager
def eagerly() -> Iterator[None]:
    import tensorflow as tf

    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


@pytest.fixture
def eager() -> Iterator[None]:
    """Trains without graphs: those of a few steps take longer to trace than to run."""
    with eagerly():
        yield


@pytest.fixture(scope="session")
def whole_run(trainer, tiny_recipe, tmp_path_factory) -> Path:
    """A run folder of `tiny_recipe()`, trained eagerly and without interruption."""
    run = tmp_path_factory.mktemp("run") / "whole"
    with eagerly():
        trainer(run, tiny_recipe()).train()
    return run


@pytest.fixture
def assert_same_end():
    def arrays(run: Path) -> dict[str, np.ndarray]:
        checkpoint = RunFolder(run).latest()
        assert checkpoint is not None and checkpoint.step == RunFolder(run).recipe.train.epochs * 2
        return checkpoint.arrays

    def check(one: Path, other: Path) -> None:
        """Fails unless two trainings ended with the same weights, to the bit."""
        first, second = arrays(one), arrays(other)
        assert first.keys() == second.keys()
        for name, value in first.items():
            np.testing.assert_array_equal(value, second[name], err_msg=name)

    return check


class AtStep(keras.callbacks.Callback):
    """Acts before or after one step of a training, counted from 1."""

    def __init__(self, step: int, before: Callable | None = None, after: Callable | None = None):
        super().__init__()
        self.step = step
        self.before, self.after = before, after

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def is_due(self, batch: int) -> bool:
        return self.epoch * self.params["steps"] + batch + 1 == self.step

    def on_train_batch_begin(self, batch, logs=None):
        if self.before and self.is_due(batch):
            self.before()

    def on_train_batch_end(self, batch, logs=None):
        if self.after and self.is_due(batch):
            self.after()


@pytest.fixture
def at_step() -> type[AtStep]:
    return AtStep
