"""Stress tests: `pytest -m stress tests/stress`, with their counts by `-s`.

`ASAP_TF_STRESS=10` injects ten times as many faults, `ASAP_TF_SEED=1` other ones.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

RECIPE = """
name: small
model: {{name: tiny}}
augment: {{crop: [64, 96], scales: [0.75, 1.0, 1.5]}}
optimizer: {{name: adamw, learning_rate: 0.001, ema: 0.9}}
train: {{epochs: 6, batch_size: 4, validate_every: 2, precision: float32}}
data: {{root: {root}}}
"""


@pytest.fixture
def times() -> Callable[[int], int]:
    """Scales a number of faults by `ASAP_TF_STRESS`."""
    factor = float(os.environ.get("ASAP_TF_STRESS", "1"))
    return lambda count: max(1, round(factor * count))


@pytest.fixture
def rng() -> np.random.Generator:
    """Seeded by `ASAP_TF_SEED`."""
    return np.random.default_rng(int(os.environ.get("ASAP_TF_SEED", "0")))


@pytest.fixture
def small_recipe(tmp_path) -> Path:
    """Recipe of a training of 30 steps: colored blocks in CamVid's layout, the network `tiny`."""
    import support.tiny  # noqa: F401

    rng = np.random.default_rng(0)
    colors = rng.integers(0, 256, (12, 3)).astype("uint8")
    for split, count in (("train", 20), ("val", 6)):
        for folder in (split, f"{split}annot"):
            (tmp_path / "data" / folder).mkdir(parents=True)
        for i in range(count):
            mask = np.kron(rng.integers(0, 12, (4, 6)), np.ones((24, 24))).astype("uint8")
            Image.fromarray(colors[mask]).save(tmp_path / "data" / split / f"{i}.png")
            Image.fromarray(mask).save(tmp_path / "data" / f"{split}annot" / f"{i}.png")
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(RECIPE.format(root=tmp_path / "data"))
    return recipe
