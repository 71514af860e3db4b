"""Tiny datasets of every kind, written to a temporary folder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

SIZE = (24, 32)

DESCRIPTION = """
masks: color
ignore_label: [0, 0, 0]
classes:
  - {name: road, color: [128, 64, 128], category: flat}
  - {name: car, color: [0, 0, 142]}
splits:
  train: {images: frames/train, masks: labels/train}
  val: {images: frames/val, masks: labels/val}
  test: {images: frames/test}
"""


def save(path: Path, array: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path)
    return path


def frame(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (*SIZE, 3), dtype=np.uint8)


def values(seed: int, allowed: list[int]) -> np.ndarray:
    return np.random.default_rng(seed).choice(np.uint8(allowed), SIZE)


@pytest.fixture
def cityscapes_root(tmp_path: Path) -> Path:
    root = tmp_path / "cityscapes"
    for split, city, count in [("train", "aachen", 3), ("val", "ulm", 2), ("test", "bonn", 1)]:
        for i in range(count):
            stem = f"{city}/{city}_{i:06d}_000019"
            save(root / f"leftImg8bit/{split}/{stem}_leftImg8bit.png", frame(i))
            mask = values(i, [0, 3, 7, 26, 33])
            save(root / f"gtFine/{split}/{stem}_gtFine_labelIds.png", mask)
    return root


@pytest.fixture
def camvid_root(tmp_path: Path) -> Path:
    root = tmp_path / "camvid"
    for split, count in [("train", 4), ("val", 2)]:
        for i in range(count):
            save(root / split / f"{i:04d}.png", frame(i))
            save(root / f"{split}annot" / f"{i:04d}.png", values(i, list(range(12))))
    return root


@pytest.fixture
def bdd100k_root(tmp_path: Path) -> Path:
    root = tmp_path / "bdd100k"
    for split, count in [("train", 2), ("val", 1), ("test", 1)]:
        for i in range(count):
            save(root / "images/10k" / split / f"{i:08x}.jpg", frame(i))
            if split != "test":
                mask = values(i, [*range(19), 255])
                save(root / "labels/sem_seg/masks" / split / f"{i:08x}.png", mask)
    return root


@pytest.fixture
def folder_root(tmp_path: Path) -> Path:
    root = tmp_path / "folder"
    colors = np.uint8([[128, 64, 128], [0, 0, 142], [0, 0, 0]])
    for split, count in [("train", 2), ("val", 1), ("test", 1)]:
        for i in range(count):
            save(root / "frames" / split / f"{i}.png", frame(i))
            if split != "test":
                save(root / "labels" / split / f"{i}.png", colors[values(i, [0, 1, 2])])
    (root / "dataset.yaml").write_text(DESCRIPTION)
    return root
