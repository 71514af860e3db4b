"""Tests for the second environment, with TensorFlow 2.17; `make test-tf217` runs them there."""

from __future__ import annotations

import os
from importlib.metadata import version
from pathlib import Path

import pytest

collect_ignore_glob = [] if version("tensorflow").startswith("2.17.") else ["test_*.py"]


@pytest.fixture(scope="session")
def exported() -> Path:
    """What `export_on_newest.py` wrote."""
    folder = os.environ.get("ASAP_TF_EXPORTED")
    if not folder:
        pytest.skip("make test-tf217 exports on the newest TensorFlow first")
    return Path(folder)
