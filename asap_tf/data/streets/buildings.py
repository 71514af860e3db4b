"""Buildings, walls, fences and hedges: what a street's edge is built of."""

from __future__ import annotations

from typing import Literal

import cv2
import numpy as np

from asap_tf.data.streets.labels import ID
from asap_tf.data.streets.mesh import Color, Mesh, Texture, shade
from asap_tf.data.streets.paint import any_color, chance, hsv, pick, stone
from asap_tf.data.streets.textures import leaves, masonry, railing, window


def facade(rng: np.random.Generator, width: float, height: float, wall: Color, lit: float) -> Texture:
    """The front of a building: floors of windows over a ground floor, a cornice on top.

    Args:
        rng: Draws the style.
        width: Metres.
        height: Metres.
        wall: Colour of the wall.
        lit: Share of the windows with light behind them.
    """
    scale = 14
    floors = max(1, round(height / rng.uniform(2.9, 3.9)))
    bays = max(1, round(width / rng.uniform(1.7, 3.4)))
    rows, columns = max(12, int(height * scale / floors)), max(10, int(width * scale / bays))
    style = pick(rng, ("single", "single", "pair", "band", "office", "blind"))
    trim = shade(wall, pick(rng, (0.6, 1.35))) if chance(rng, 0.7) else any_color(rng)
    tile = np.empty((rows, columns, 4), np.uint8)
    tile[:] = (*wall, 0)
    pane = np.zeros((rows, columns), np.uint8)
    left, right, top, foot = _opening(rng, style, rows, columns)
    if style != "blind":
        cv2.rectangle(tile, (left - 2, top - 2), (right + 1, foot + 1), (*trim, 0), -1)
        cv2.rectangle(tile, (left - 3, foot), (right + 2, foot + 2), (*shade(trim, 0.8), 0), -1)
        pane[top:foot, left:right] = 255
        middle = (left + right) // 2
        if style in ("single", "pair"):
            pane[top:foot, middle] = 0
            pane[(2 * top + foot) // 3, left:right] = 0
    if chance(rng, 0.3):
        tile[-2:] = (*shade(wall, 0.75), 0)
    pixels, glass = np.tile(tile, (floors, bays, 1)), np.tile(pane, (floors, bays))
    sky = hsv(rng.uniform(0.5, 0.65), rng.uniform(0, 0.3), rng.uniform(0.12, 0.5))
    tone = np.repeat(np.repeat(rng.uniform(0.5, 1.5, (floors, bays)), rows, 0), columns, 1)
    on = np.repeat(np.repeat(rng.random((floors, bays)) < lit, rows, 0), columns, 1)
    panes = glass > 0
    light = np.array((*hsv(rng.uniform(0.08, 0.15), rng.uniform(0.2, 0.6), 0.95), 230))
    pixels[panes, :3] = np.clip(tone[panes, None] * sky, 0, 255)
    pixels[panes & on] = light
    if chance(rng, 0.6):
        _shops(rng, pixels, rows, columns, any_color(rng, (0.1, 0.9)), lit)
    stain = np.clip(1.0 + 0.06 * window(rng, *pixels.shape[:2], 3), 0.7, 1.3)
    pixels[..., :3] = cv2.multiply(pixels[..., :3], cv2.merge([stain] * 3), dtype=cv2.CV_8U)
    pixels[: max(2, scale // 3), :, :3] = shade(trim, 0.9)
    return Texture(pixels)


def _opening(rng: np.random.Generator, style: str, rows: int, columns: int) -> tuple[int, ...]:
    """Left, right, top and foot of the window in one bay of one floor."""
    margin = {"band": 0.02, "office": 0.06}.get(style, rng.uniform(0.18, 0.3))
    left = max(2, int(columns * margin))
    top = int(rows * (0.08 if style == "office" else rng.uniform(0.2, 0.3)))
    foot = int(rows * (0.94 if style == "office" else rng.uniform(0.68, 0.8)))
    return left, columns - left, top, foot


def _shops(
    rng: np.random.Generator, pixels: np.ndarray, rows: int, columns: int, color: Color, lit: float
) -> None:
    """Turns the ground floor into shop windows and doors under a sign or an awning."""
    height, width = pixels.shape[:2]
    top = height - rows
    pixels[top:] = (*shade(color, 0.6), 0)
    pixels[top : top + rows // 4] = (*color, 0)
    if chance(rng, 0.4):
        for left in range(0, width, 8):
            pixels[top : top + rows // 3, left : left + 4] = (*shade(color, 1.6), 0)
    glow = 230 if lit > 0.2 and chance(rng, 0.7) else 0
    glass: Color = (230, 215, 170) if glow else hsv(0.58, 0.2, rng.uniform(0.15, 0.45))
    for left in range(0, width, columns):
        door = chance(rng, 0.25)
        first, last = top + int(rows * 0.36), height - (0 if door else int(rows * 0.16))
        pixels[first:last, left + 2 : left + columns - 2] = (*glass, glow)
        if door:
            pixels[first:last, left + columns // 2] = (*shade(color, 0.4), 0)


def building(
    rng: np.random.Generator, length: float, depth: float, height: float, side: int, lit: float
) -> Mesh:
    """A building whose front is the plane x = 0, z from 0 to `length`.

    Args:
        rng: Draws the style.
        length: Metres along the street.
        depth: Metres away from it.
        height: Metres up to the eaves.
        side: 1 if it stands to the right of its front, -1 if to the left.
        lit: Share of lit windows.
    """
    mesh = Mesh(ID["building"])
    wall = stone(rng, (0.2, 0.85)) if chance(rng, 0.5) else any_color(rng, (0, 0.75), (0.2, 0.9))
    front = "left" if side > 0 else "right"
    x = (0.0, depth) if side > 0 else (-depth, 0.0)
    textures: dict[str, Texture] = {
        front: facade(rng, length, height, wall, lit),
        "back": facade(rng, depth, height, wall, lit),
    }
    mesh.box(x, (0, height), (0, length), wall, textures)
    if height < 12 and chance(rng, 0.75):
        _roof(mesh, x, height, length, any_color(rng, (0.1, 0.8), (0.15, 0.6)), rng.uniform(0.25, 0.6))
    elif chance(rng, 0.5):
        middle = sum(x) / 2
        mesh.box((middle - 1, middle + 1), (height, height + 2), (length * 0.3, length * 0.6), shade(wall, 0.8))
    return mesh


def _roof(
    mesh: Mesh, x: tuple[float, float], eaves: float, length: float, color: Color, slope: float
) -> None:
    """A gable roof with its ridge along the street."""
    (x0, x1), middle = x, sum(x) / 2
    ridge = eaves + (x1 - x0) / 2 * slope
    a, b = -0.3, length + 0.3
    mesh.add([(x0, eaves, 0), (middle, ridge, 0), (x1, eaves, 0)], shade(color, 1.2))
    mesh.add([(middle, ridge, b), (middle, ridge, a), (x0, eaves - 0.1, a), (x0, eaves - 0.1, b)], color)
    mesh.add([(middle, ridge, a), (middle, ridge, b), (x1, eaves - 0.1, b), (x1, eaves - 0.1, a)], color)
    chimney = length * 0.35
    mesh.box((middle - 0.3, middle + 0.3), (ridge - 0.3, ridge + 0.9), (chimney, chimney + 0.6), shade(color, 0.8))


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
        texture = railing(rng, color, length, height)
        mesh.add([(0, height, length), (0, height, 0), (0, 0, 0), (0, 0, length)], color, texture=texture)
        mesh.add([(0, height, 0), (0, height, length), (0, 0, length), (0, 0, 0)], color, texture=texture)
        return mesh
    mesh = Mesh(ID["wall" if kind == "wall" else "vegetation"])
    make, half = (masonry, 0.15) if kind == "wall" else (leaves, 0.4)
    sides = dict.fromkeys(("left", "right"), make(rng, color, length, height))
    ends = dict.fromkeys(("front", "back"), make(rng, color, 2 * half, height))
    mesh.box((-half, half), (0, height), (0, length), shade(color, 1.15), sides | ends)
    return mesh
