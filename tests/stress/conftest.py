"""Stress tests: `pytest -m stress tests/stress`, with their counts by `-s`.

`ASAP_TF_STRESS=10` injects ten times as many faults, `ASAP_TF_SEED=1` other ones.
"""

from __future__ import annotations

import os
from collections.abc import Callable

import numpy as np
import pytest


@pytest.fixture
def times() -> Callable[[int], int]:
    """Scales a number of faults by `ASAP_TF_STRESS`."""
    factor = float(os.environ.get("ASAP_TF_STRESS", "1"))
    return lambda count: max(1, round(factor * count))


@pytest.fixture
def rng() -> np.random.Generator:
    """Seeded by `ASAP_TF_SEED`."""
    return np.random.default_rng(int(os.environ.get("ASAP_TF_SEED", "0")))
