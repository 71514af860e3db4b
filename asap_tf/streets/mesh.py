"""Objects as lists of flat, colored faces."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

Color = tuple[float, float, float]
"""RGB, 0..255, before any light falls on it."""

Point = Sequence[float] | np.ndarray

UNCHANGED = 128
"""Lightness in a texture of one channel that shows the face's color as it is."""


@dataclass(frozen=True)
class Texture:
    """An image stretched over a rectangle.

    Attributes:
        pixels: uint8 `(h, w, 4)`: RGB, and how much of its own light a pixel gives (0..255); or
            `(h, w)`: lightness of the face's own color, which `UNCHANGED` leaves as it is.
        alpha: uint8 `(h, w)`, or None if opaque. What shines through takes no part in the labels
            unless `solid`.
        solid: The whole rectangle is labeled, holes included (fences, as Cityscapes does).
    """

    pixels: np.ndarray
    alpha: np.ndarray | None = None
    solid: bool = False


@dataclass(frozen=True)
class Face:
    """One flat polygon.

    Attributes:
        count: How many points it has; the points themselves lie in the mesh.
        color: None for a face that is labeled but not seen (the holes of a wheel).
        id: Official instance encoding, or `labels.UNSEEN`.
        glow: How much of its own light it gives, 0..1.
        texture: Stretched over the face, whose four points are then its top left, top right,
            bottom right and bottom left corner.
    """

    count: int
    color: Color | None
    id: int
    glow: float
    texture: Texture | None


class Mesh:
    """An object: faces in painting order, in its own axes until `place` puts it into the world.

    Own axes: x to its right, y up, z ahead. The points of a face run clockwise as seen from
    outside; a face that shows its back is not drawn.

    Attributes:
        id: The id of faces that bring none.
        faces: What has been added.
        footprint: float64 `(4, 2)`, world x and z of the corners of the ground it stands on; None
            before it is placed.
    """

    def __init__(self, id: int) -> None:
        self.id = id
        self.faces: list[Face] = []
        self.footprint: np.ndarray | None = None
        self._points: list[np.ndarray] = []

    @property
    def points(self) -> np.ndarray:
        """The points of all faces, one after the other, float64 `(n, 3)`."""
        return np.concatenate(self._points)

    def add(
        self,
        points: Sequence[Sequence[float]] | np.ndarray,
        color: Color | None,
        id: int | None = None,
        glow: float = 0.0,
        texture: Texture | None = None,
    ) -> None:
        """Adds a face over those so far."""
        self._points.append(np.asarray(points, float))
        own = self.id if id is None else id
        self.faces.append(Face(len(points), color, own, glow, texture))

    def box(
        self,
        x: tuple[float, float],
        y: tuple[float, float],
        z: tuple[float, float],
        color: Color,
        textures: dict[str, Texture] | None = None,
    ) -> None:
        """Adds a box without a bottom; `textures` by side: left, right, front, back, top."""
        (x0, x1), (y0, y1), (z0, z1) = x, y, z
        sides = {
            "front": [(x1, y1, z1), (x0, y1, z1), (x0, y0, z1), (x1, y0, z1)],
            "back": [(x0, y1, z0), (x1, y1, z0), (x1, y0, z0), (x0, y0, z0)],
            "left": [(x0, y1, z1), (x0, y1, z0), (x0, y0, z0), (x0, y0, z1)],
            "right": [(x1, y1, z0), (x1, y1, z1), (x1, y0, z1), (x1, y0, z0)],
            "top": [(x0, y1, z1), (x1, y1, z1), (x1, y1, z0), (x0, y1, z0)],
        }
        for side, points in sides.items():
            self.add(points, color, texture=(textures or {}).get(side))

    def flat(
        self,
        outline: Sequence[Sequence[float]] | np.ndarray,
        color: Color | None,
        id: int | None = None,
        glow: float = 0.0,
    ) -> None:
        """Adds an upright polygon given by x and y, turned whichever way it is seen from the back.

        Cut-outs such as people are made of these and placed facing the camera.
        """
        points = np.zeros((len(outline), 3))
        points[:, :2] = outline
        self.add(points if clockwise(points[:, 0], points[:, 1]) else points[::-1], color, id, glow)

    def resize(self, across: float, up: float) -> Mesh:
        """Stretches the object across (own x) and up; before it is placed."""
        self._points = [points * (across, up, 1.0) for points in self._points]
        return self

    def mirror(self) -> Mesh:
        """Swaps left and right; before it is placed, and without textures."""
        self._points = [points[::-1] * (-1.0, 1.0, 1.0) for points in self._points]
        return self

    def place(
        self,
        x: float,
        z: float,
        heading: float = 0.0,
        y: float = 0.0,
        footprint: tuple[float, float, float, float] | None = None,
    ) -> Mesh:
        """Moves the object from its own axes into the world.

        Args:
            x: World x of its origin.
            z: World z of its origin.
            heading: Where its own z points.
            y: Height of the ground there.
            footprint: Own x0, x1, z0, z1 of the ground it stands on; all it covers if None.

        Returns:
            The mesh itself.
        """
        local = self.points
        if footprint is None:
            low, high = local.min(axis=0), local.max(axis=0)
            footprint = (low[0], high[0], low[2], high[2])
        x0, x1, z0, z1 = footprint
        axes = np.array([[np.cos(heading), -np.sin(heading)], [np.sin(heading), np.cos(heading)]])
        corners = np.array([(x0, z0), (x1, z0), (x1, z1), (x0, z1)])
        self.footprint = corners @ axes + (x, z)
        ground = local[:, [0, 2]] @ axes + (x, z)
        self._points = [np.stack([ground[:, 0], local[:, 1] + y, ground[:, 1]], axis=1)]
        return self


def clockwise(x: np.ndarray, y: np.ndarray) -> bool:
    """Whether a polygon's points run clockwise where x points right and y up."""
    twice = x[:-1] @ y[1:] - x[1:] @ y[:-1] + x[-1] * y[0] - x[0] * y[-1]
    return bool(twice < 0)


def bar(start: Point, end: Point, width: float, end_width: float | None = None) -> np.ndarray:
    """The outline `(4, 2)` of a straight bar between two points."""
    (x0, y0), (x1, y1) = start, end
    scale = 0.5 / max(math.hypot(x1 - x0, y1 - y0), 1e-9)
    ax, ay = (y0 - y1) * scale, (x1 - x0) * scale
    tip = width if end_width is None else end_width
    return np.array(
        [
            (x0 + ax * width, y0 + ay * width),
            (x1 + ax * tip, y1 + ay * tip),
            (x1 - ax * tip, y1 - ay * tip),
            (x0 - ax * width, y0 - ay * width),
        ]
    )


def disc(center: Point, rx: float, ry: float | None = None, count: int = 12) -> np.ndarray:
    """The outline `(count, 2)` of an ellipse."""
    return _circle(count) * (rx, rx if ry is None else ry) + center


@cache
def _circle(count: int) -> np.ndarray:
    angles = np.arange(count) * (2 * np.pi / count)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1)


def block(x0: float, y0: float, x1: float, y1: float) -> list[tuple[float, float]]:
    """The outline of an upright rectangle."""
    return [(x0, y0), (x0, y1), (x1, y1), (x1, y0)]


def shade(color: Color, factor: float) -> Color:
    """A darker (factor < 1) or lighter color."""
    red, green, blue = (min(255.0, max(0.0, part * factor)) for part in color)
    return red, green, blue
