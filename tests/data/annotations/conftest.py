from __future__ import annotations

from types import SimpleNamespace

import pytest
from PIL import Image

from support.scenes import frame, scene


@pytest.fixture
def source(tmp_path):
    """A folder with the frames of four scenes, in two subfolders."""
    folder = tmp_path / "source"
    for i in range(4):
        path = folder / f"drive{i % 2}" / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(frame(i)).save(path)
    frames = {f"drive{i % 2}/{i}.png": scene(i) for i in range(4)}
    return SimpleNamespace(folder=folder, out=tmp_path / "out", frames=frames)
