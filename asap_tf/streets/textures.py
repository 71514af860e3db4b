"""Noise, and the textures made from it."""

from __future__ import annotations

from functools import cache, lru_cache

import cv2
import numpy as np

from asap_tf.streets.mesh import UNCHANGED, Color, Texture, shade
from asap_tf.streets.paint import chance, pick

TILE = 512
"""Side of the noise tiles, which repeat without a seam."""


def _octave(rng: np.random.Generator, cells: int, size: int) -> np.ndarray:
    """Smooth noise with that many cells a side; opposite edges fit."""
    grid = np.pad(rng.standard_normal((cells, cells)).astype(np.float32), 2, mode="wrap")
    scale = size // cells
    grown = cv2.resize(grid, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
    return grown[2 * scale : 2 * scale + size, 2 * scale : 2 * scale + size]


@cache
def noise(variant: int, coarsest: int = 4, finest: int = 256) -> np.ndarray:
    """A tile of noise, float32 `(TILE, TILE)`, mean 0, deviation 1. Made once per process.

    Args:
        variant: Any number; another number gives another tile.
        coarsest: Cells a side of the lowest octave, a power of two.
        finest: Cells a side of the highest octave.
    """
    rng = np.random.default_rng([variant, coarsest, finest])
    total = np.zeros((TILE, TILE), np.float32)
    weight, cells = 1.0, coarsest
    while cells <= finest:
        total += weight * _octave(rng, cells, TILE)
        weight, cells = weight * 0.62, cells * 2
    return (total - total.mean()) / total.std()


@lru_cache(maxsize=2)
def grain(size: tuple[int, int]) -> np.ndarray:
    """Sensor noise, uint8 `(2 H, W, 3)`, 128 +- 32. Kept for the last two sizes."""
    rng = np.random.default_rng(7)
    values = rng.standard_normal((2 * size[0], size[1], 3), dtype=np.float32) * 32 + 128
    return np.clip(values, 0, 255).astype(np.uint8)


def window(rng: np.random.Generator, height: int, width: int, variant: int = 0) -> np.ndarray:
    """A patch `(height, width)` cut from a noise tile at a random place."""
    top, left = rng.integers(TILE, size=2)
    rows, columns = (top + np.arange(height)) % TILE, (left + np.arange(width)) % TILE
    return noise(variant, 8)[rows[:, None], columns]


def relief(light: np.ndarray) -> np.ndarray:
    """Texture pixels, uint8 `(h, w)`, that darken (light < 1) or lift the color of a face."""
    return cv2.convertScaleAbs(light, alpha=UNCHANGED)


@cache
def _crown(variant: int, cone: bool) -> tuple[np.ndarray, np.ndarray]:
    """Light and alpha of a crown of leaves, `(192, 192)` each. Made once per process."""
    rng = np.random.default_rng([variant, cone])
    size = 192
    y, x = np.mgrid[-1 : 1 : size * 1j, -1 : 1 : size * 1j].astype(np.float32)
    clumps, leaves = window(rng, size, size, 1), noise(20 + variant, 32)[:size, :size]
    if cone:
        tiers = 0.12 * np.abs(((y + 1) * 3.5) % 1.0)
        reach = np.abs(x) / (0.06 + 0.42 * (y + 1) / 2 + tiers) + 0.12 * leaves
    else:
        reach = np.hypot(x / 0.8, y / 0.8) + 0.10 * clumps + 0.06 * leaves
    alpha = np.clip((1.0 - reach) * 12, 0, 1)
    hollow = np.clip((clumps + 0.8 * leaves + 2.1) * 3, 0, 1)
    alpha *= np.maximum(hollow, reach < 0.45)
    light = 0.85 - 0.28 * y + 0.15 * clumps + 0.2 * leaves - 0.12 * x
    return relief(np.clip(light, 0.25, 1.6)), (alpha * 255).astype(np.uint8)


def crown(rng: np.random.Generator, cone: bool = False) -> Texture:
    """A treetop or bush, or a conifer."""
    light, alpha = _crown(int(rng.integers(8)), cone)
    if chance(rng, 0.5):
        light, alpha = light[:, ::-1], alpha[:, ::-1]
    return Texture(light, alpha)


def leaves(rng: np.random.Generator, width: float, height: float) -> Texture:
    """A clipped hedge of that many meters."""
    patch = window(rng, max(8, int(height * 24)), min(512, max(8, int(width * 24))), 2)
    return Texture(relief(np.clip(0.9 + 0.28 * patch, 0.2, 1.6)))


def masonry(rng: np.random.Generator, width: float, height: float) -> Texture:
    """A wall of that many meters: plain, of brick or of blocks, stained and with a coping."""
    scale = 32
    rows, columns = max(8, int(height * scale)), min(640, max(8, int(width * scale)))
    light = 1.0 + 0.09 * window(rng, rows, columns, 3)
    kind = pick(rng, ("plain", "brick", "blocks", "panels"))
    if kind != "plain":
        course, length = {"brick": (4, 10), "blocks": (12, 26), "panels": (rows, 80)}[kind]
        joint = pick(rng, (0.72, 1.2))
        light[::course] *= joint
        for top in range(0, rows, course):
            offset = length // 2 if (top // course) % 2 else 0
            light[top : top + course, offset::length] *= joint
    light[: max(2, rows // 14)] *= 1.25
    light[-max(2, rows // 10) :] *= 0.75
    pixels = relief(np.clip(light, 0.1, 1.9))
    if chance(rng, 0.25):
        for _ in range(3):
            _scrawl(rng, pixels)
    return Texture(pixels)


def _scrawl(rng: np.random.Generator, pixels: np.ndarray) -> None:
    """Graffiti."""
    rows, columns = pixels.shape[:2]
    start = rng.uniform((0, 0.3 * rows), (columns, 0.9 * rows))
    steps = rng.normal(0, 0.14 * rows, (9, 2))
    line = (start + steps.cumsum(axis=0)).astype(np.int32)
    cv2.polylines(pixels, [line], False, pick(rng, (30, 240)), max(1, rows // 22), cv2.LINE_AA)


def railing(rng: np.random.Generator, width: float, height: float) -> Texture:
    """A fence of that many meters: bars, rails, pickets, boards or wire mesh."""
    scale = 32
    rows, columns = max(16, int(height * scale)), min(640, max(16, int(width * scale)))
    alpha = np.zeros((rows, columns), np.uint8)
    kind = pick(rng, ("bars", "bars", "rails", "pickets", "boards", "mesh"))
    post = pick(rng, (48, 64, 80))
    if kind == "mesh":
        for shift in range(-rows, columns, 7):
            cv2.line(alpha, (shift, 0), (shift + rows, rows), 170, 1)
            cv2.line(alpha, (shift, rows), (shift + rows, 0), 170, 1)
    elif kind == "rails":
        for top in range(2, rows, max(6, rows // pick(rng, (3, 4, 5)))):
            alpha[top : top + 3] = 255
    else:
        bar, step = {"bars": (1, 5), "pickets": (3, 7), "boards": (6, 8)}[kind]
        for left in range(0, columns, step):
            alpha[(left * 7) % 3 :, left : left + bar] = 255
        for top in (rows // 7, rows - rows // 6):
            alpha[top : top + 2] = 255
    for left in range(0, columns, post):
        alpha[:, left : left + 4] = 255
    alpha[:, -3:] = 255
    if kind in ("bars", "mesh"):
        alpha[:2] = 255
    light = 1.0 + 0.08 * window(rng, rows, columns, 3)
    return Texture(relief(light), alpha, solid=True)


def hoarding(rng: np.random.Generator, color: Color, ink: Color) -> Texture:
    """A sign board with an arrow and lines that look like writing, 96 x 64."""
    pixels = np.zeros((64, 96, 4), np.uint8)
    pixels[..., :3] = color
    cv2.rectangle(pixels, (2, 2), (93, 61), (*ink, 0), 2)
    for top in (12, 28, 44):
        left = 24
        while left < 80:
            length = int(rng.integers(4, 16))
            cv2.rectangle(pixels, (left, top), (min(left + length, 86), top + 7), (*ink, 0), -1)
            left += length + 4
        cv2.line(pixels, (9, top + 4), (18, top + 4), (*ink, 0), 2)
    if chance(rng, 0.3):
        pixels[32:, :, :3] = shade(color, 0.6)
    return Texture(pixels)
