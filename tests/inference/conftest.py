from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def out(tmp_path) -> Path:
    """Folder for results, whose parent is not there yet either."""
    return tmp_path / "made" / "out"
