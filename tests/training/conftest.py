from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from asap_tf.models.registry import BUILDERS, COMMON_ARGUMENTS
from asap_tf.training import check_data
from asap_tf.training.callbacks import Monitor
from asap_tf.training.recipe import Recipe, validate
from asap_tf.training.run_folder import RunFolder
from asap_tf.training.trainer import Trainer
from support.tiny import Tiny


@pytest.fixture(scope="session")
def tiny_root(tmp_path_factory) -> Path:
    """CamVid's layout: 5 training frames of colored blocks, 2 to validate on."""
    root = tmp_path_factory.mktemp("camvid")
    rng = np.random.default_rng(0)
    colors = rng.integers(0, 256, (12, 3)).astype("uint8")
    for split, count in (("train", 5), ("val", 2)):
        (root / split).mkdir()
        (root / f"{split}annot").mkdir()
        for i in range(count):
            mask = np.kron(rng.integers(0, 12, (3, 4)), np.ones((16, 16))).astype("uint8")
            Image.fromarray(colors[mask]).save(root / split / f"{i}.png")
            Image.fromarray(mask).save(root / f"{split}annot" / f"{i}.png")
    return root


@pytest.fixture
def tiny_recipe(tiny_root):
    def make(**sections) -> Recipe:
        values = {
            "name": "tiny",
            "data": {"root": str(tiny_root)},
            "augment": {"crop": (32, 64), "scales": (0.75, 1.0, 1.5), "brightness": 0.2},
            "optimizer": {"ema": 0.9},
            "train": {"epochs": 3, "batch_size": 2, "precision": "float32"},
        }
        for name, section in sections.items():
            values[name] = {**values.get(name, {}), **section}
        return validate(values, "tiny")

    return make


@pytest.fixture
def trainer():
    def make(run: Path, recipe: Recipe) -> Trainer:
        return Trainer(RunFolder(run), recipe, check_data(recipe))

    return make


@pytest.fixture
def small_network(monkeypatch):
    """Puts `tiny` in ASAP's place; returns its builder.

    Most tests are about what is around a network, and ASAP takes ten seconds to its first step.
    """

    @functools.wraps(BUILDERS["asap"])
    def build(**arguments):
        return Tiny(**{name: arguments[name] for name in COMMON_ARGUMENTS})

    monkeypatch.setitem(BUILDERS, "asap", build)
    return Tiny


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


@pytest.fixture
def at_step():
    def arrange(patch: pytest.MonkeyPatch, step: int, action: Callable[[], object]) -> None:
        """Runs `action` within that step of the next trainings."""
        original = Monitor.on_train_batch_end

        def wrapped(self, batch, logs=None):
            if self.trainer.step + 1 == step:
                action()
            original(self, batch, logs)

        patch.setattr(Monitor, "on_train_batch_end", wrapped)

    return arrange
