"""Buildings, walls, fences and hedges along a street."""

from __future__ import annotations

from functools import cache
from typing import Literal

import cv2
import numpy as np

from asap_tf.streets.labels import ID
from asap_tf.streets.mesh import Color, Mesh, Texture, shade
from asap_tf.streets.paint import any_color, chance, hsv, pick, stone
from asap_tf.streets.textures import leaves, masonry, railing, window

_LEVELS = 16  # shades of one material
_MATERIALS = ("wall", "trim", "sill", "ledge", "shop", "awning", "stripe", "display", "door")
_PANES = 6  # groups of windows that have the same glass, or light behind it
_FLOORS, _BAYS = 8, 9
_CELL = (40, 34)  # pixels of one floor of one bay


@cache
def _design(variant: int) -> np.ndarray:
    """A facade without colors, uint8: material * _LEVELS + shade. Made once per process.

    The panes follow the named materials; the ground floor is at the foot.
    """
    rng = np.random.default_rng([variant, 11])
    rows, columns = _CELL
    material = dict(zip(_MATERIALS, range(len(_MATERIALS)), strict=True))
    style = pick(rng, ("single", "single", "pair", "band", "office"))
    tile = np.full(_CELL, material["wall"], np.uint8)
    margin = {"band": 0.02, "office": 0.06}.get(style, rng.uniform(0.16, 0.3))
    left = max(1, int(columns * margin))
    right = columns - left
    top = int(rows * (0.08 if style == "office" else rng.uniform(0.2, 0.3)))
    foot = int(rows * (0.94 if style == "office" else rng.uniform(0.68, 0.8)))
    tile[top - 2 : foot + 2, max(0, left - 2) : right + 2] = material["trim"]
    tile[foot : foot + 2, max(0, left - 3) : right + 3] = material["sill"]
    if chance(rng, 0.4):
        tile[-2:] = material["ledge"]
    pane = np.zeros(_CELL, bool)
    pane[top:foot, left:right] = True
    if style in ("single", "pair"):
        pane[top:foot, (left + right) // 2] = False
        pane[(2 * top + foot) // 3, left:right] = False
    plan = np.tile(tile, (_FLOORS, _BAYS))
    groups = len(_MATERIALS) + rng.integers(_PANES, size=(_FLOORS, _BAYS)).astype(np.uint8)
    glass = np.tile(pane, (_FLOORS, _BAYS))
    plan[glass] = np.kron(groups, np.ones(_CELL, np.uint8))[glass]
    if variant % 3:
        plan[-rows:] = material["shop"]
        plan[-rows : -rows + rows // 3] = material["awning"]
        if chance(rng, 0.5):
            for start in range(0, plan.shape[1], 10):
                plan[-rows : -rows + rows // 3, start : start + 5] = material["stripe"]
        for start in range(0, plan.shape[1], columns):
            door = chance(rng, 0.3)
            last = -1 if door else -int(rows * 0.18)
            plan[-int(rows * 0.62) : last, start + 2 : start + columns - 2] = material["display"]
            if door:
                plan[-int(rows * 0.62) :, start + 8 : start + 22] = material["door"]
    stain = np.clip(
        _LEVELS / 2 + 1.6 * window(rng, plan.shape[0], plan.shape[1], 3), 0, _LEVELS - 1
    )
    return plan * _LEVELS + stain.astype(np.uint8)


def facade(
    rng: np.random.Generator, width: float, height: float, wall: Color, lit: float
) -> Texture:
    """The front of a building: floors of windows, often over shops, under a cornice.

    Args:
        rng: Draws the style and the colors.
        width: Meters.
        height: Meters.
        wall: Color of the wall.
        lit: Share of the windows with light behind them.
    """
    rows, columns = _CELL
    floors = min(_FLOORS, max(1, round(height / rng.uniform(2.9, 3.9))))
    bays = min(_BAYS, max(1, round(width / rng.uniform(1.7, 3.4))))
    trim = shade(wall, pick(rng, (0.6, 1.35))) if chance(rng, 0.7) else any_color(rng)
    shop, open_late = any_color(rng, (0.1, 0.9)), lit > 0.2 and chance(rng, 0.7)
    sky = hsv(rng.uniform(0.5, 0.65), rng.uniform(0, 0.3), rng.uniform(0.12, 0.45))
    lamp = hsv(rng.uniform(0.08, 0.15), rng.uniform(0.2, 0.6), 0.95)
    colors = {
        "wall": wall,
        "trim": trim,
        "sill": shade(trim, 0.8),
        "ledge": shade(wall, 0.75),
        "shop": shade(shop, 0.5),
        "awning": shop,
        "stripe": shade(shop, 1.6),
        "display": lamp if open_late else shade(sky, 0.9),
        "door": shade(shop, 0.3),
    }
    lights = [chance(rng, lit) for _ in range(_PANES)]
    panes = [lamp if light else shade(sky, rng.uniform(0.6, 1.5)) for light in lights]
    glow = [open_late and name == "display" for name in _MATERIALS] + lights
    table = np.zeros((len(glow), _LEVELS, 4))
    table[..., :3] = np.array([*map(colors.get, _MATERIALS), *panes])[:, None]
    table[..., :3] *= np.linspace(0.85, 1.15, _LEVELS)[:, None]
    table[..., 3] = 230 * np.array(glow)[:, None]
    lookup = np.zeros((1, 256, 4), np.uint8)
    lookup[0, : len(glow) * _LEVELS] = np.minimum(table, 255).reshape(-1, 4)
    plan = _design(int(rng.integers(18)))[-floors * rows :, : bays * columns]
    pixels = cv2.LUT(cv2.merge([plan] * 4), lookup)
    pixels[:5, :, :3] = shade(trim, 0.9)
    return Texture(pixels)


def building(
    rng: np.random.Generator,
    size: tuple[float, float, float],
    side: int,
    lit: float,
    street_windows: bool = True,
    end_windows: bool = True,
) -> Mesh:
    """A building whose front is the plane x = 0, z from 0 to `length`.

    Args:
        rng: Draws the style.
        size: Meters along the street, away from it, and up to the eaves.
        side: 1 if it stands to the right of its front, -1 if to the left.
        lit: Share of lit windows.
        street_windows: Whether its front has windows.
        end_windows: Whether its end at z = 0 has.
    """
    length, depth, height = size
    mesh = Mesh(ID["building"])
    wall = stone(rng, (0.3, 0.9)) if chance(rng, 0.65) else any_color(rng, (0, 0.6), (0.3, 0.9))
    x = (0.0, depth) if side > 0 else (-depth, 0.0)
    textures = {}
    if street_windows:
        textures["left" if side > 0 else "right"] = facade(rng, length, height, wall, lit)
    if end_windows:
        textures["back"] = facade(rng, depth, height, wall, lit)
    mesh.box(x, (0, height), (0, length), wall, textures)
    if height < 12 and chance(rng, 0.75):
        tiles = hsv(rng.uniform(-0.04, 0.08), rng.uniform(0.1, 0.7), rng.uniform(0.2, 0.6))
        _roof(mesh, x, height, length, tiles, rng.uniform(0.25, 0.6))
    elif chance(rng, 0.5):
        middle, above = sum(x) / 2, (height, height + 2)
        stairwell = (length * 0.3, length * 0.6)
        mesh.box((middle - 1, middle + 1), above, stairwell, shade(wall, 0.8))
    return mesh


def _roof(
    mesh: Mesh, x: tuple[float, float], eaves: float, length: float, color: Color, slope: float
) -> None:
    """A gable roof with its ridge along the street."""
    (x0, x1), middle = x, sum(x) / 2
    ridge = eaves + (x1 - x0) / 2 * slope
    a, b = -0.3, length + 0.3
    mesh.add([(x0, eaves, 0), (middle, ridge, 0), (x1, eaves, 0)], shade(color, 1.2))
    low = eaves - 0.1
    mesh.add([(middle, ridge, b), (middle, ridge, a), (x0, low, a), (x0, low, b)], color)
    mesh.add([(middle, ridge, a), (middle, ridge, b), (x1, low, b), (x1, low, a)], color)
    x, y, z = (middle - 0.3, middle + 0.3), (ridge - 0.3, ridge + 0.9), length * 0.35
    mesh.box(x, y, (z, z + 0.6), shade(color, 0.8))


def barrier(
    rng: np.random.Generator,
    kind: Literal["wall", "fence", "hedge"],
    length: float,
    height: float,
    color: Color,
) -> Mesh:
    """A wall, fence or hedge along x = 0, z from 0 to `length`, seen from both sides."""
    if kind == "fence":
        mesh = Mesh(ID["fence"])
        texture = railing(rng, length, height)
        left = [(0, height, length), (0, height, 0), (0, 0, 0), (0, 0, length)]
        right = [left[i] for i in (1, 0, 3, 2)]
        mesh.add(left, color, texture=texture)
        mesh.add(right, color, texture=texture)
        return mesh
    mesh = Mesh(ID["wall" if kind == "wall" else "vegetation"])
    make, half = (masonry, 0.15) if kind == "wall" else (leaves, 0.4)
    sides = dict.fromkeys(("left", "right"), make(rng, length, height))
    ends = dict.fromkeys(("front", "back"), make(rng, 2 * half, height))
    mesh.box((-half, half), (0, height), (0, length), shade(color, 1.15), sides | ends)
    return mesh
