"""The buildings and plants along a street, and those that close the view at its end."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Literal

import numpy as np

from asap_tf.streets.buildings import barrier, building
from asap_tf.streets.furniture import bush, tree
from asap_tf.streets.mesh import Color, Mesh
from asap_tf.streets.paint import chance, hsv, metal, pick, stone
from asap_tf.streets.plan import CURB, Path, Style
from asap_tf.streets.scene import Scene

Span = tuple[float, float]
Barrier = Literal["wall", "fence", "hedge"]
Plot = Literal["building", "trees", "open"] | Barrier

_PLOTS: dict[Style, tuple[Plot, ...]] = {
    "urban": ("building",) * 8 + ("wall", "fence", "trees"),
    "suburb": ("building",) * 4 + ("hedge", "fence", "wall", "trees"),
    "green": ("trees", "trees", "trees", "fence", "wall", "hedge", "open", "building"),
    "works": ("wall", "wall", "fence", "fence", "building", "building", "open"),
}
_HEIGHTS: dict[Style, Span] = {
    "urban": (9.0, 24.0),
    "suburb": (4.0, 8.0),
    "green": (3.5, 9.0),
    "works": (5.0, 12.0),
}


def leaf_color(scene: Scene) -> Color:
    """One of the frame's leaf colors."""
    return pick(scene.rng, scene.look.foliage)


class Row:
    """One side of a street, beyond its sidewalk.

    Args:
        scene: Gets the objects.
        path: The street they stand along.
        sign: 1 for its right side, -1 for its left.
    """

    def __init__(self, scene: Scene, path: Path, sign: int) -> None:
        self.scene = scene
        self.rng = scene.rng
        self.path = path
        self.sign = sign

    def build(self, stretch: Span, line: float, garden: float, style: Style) -> None:
        """Fills a stretch with plots.

        Args:
            stretch: From where to where along the path.
            line: Where the plots begin, meters from the path.
            garden: How far behind this line the houses stand.
            style: What the plots are like.
        """
        s, end = stretch
        low, high = _HEIGHTS[style]
        level = self.rng.uniform(low, high)
        edging: Barrier | None = pick(self.rng, ("fence", "wall", "hedge", None))
        attached = False
        while s < end - 3:
            span = (s, s + min(self.rng.uniform(7, 24), end - s))
            plot = pick(self.rng, _PLOTS[style])
            height = float(np.clip(level * self.rng.uniform(0.75, 1.3), low, high))
            if plot == "building":
                self.house(span, line + garden, height, attached)
                if garden and edging and chance(self.rng, 0.7):
                    self.barrier(edging, span, line, (0.8, 1.5))
                if garden and chance(self.rng, 0.4):
                    self.plants(span, line + garden / 2, 8.0, low=True)
            elif plot == "trees":
                self.plants(span, line + 2.5, 4.0)
                self.plants(span, line + 1.5, 8.0, low=True)
            elif plot != "open":
                self.barrier(plot, span, line, (1.1, 3.0))
                if chance(self.rng, 0.5):
                    self.plants(span, line + 4, 7.0)
                if chance(self.rng, 0.5):
                    self.house(span, line + self.rng.uniform(7, 16), height)
            gap = self.rng.uniform(0.5, 3.0) if chance(self.rng, 0.3) else 0.0
            attached = plot == "building" and gap == 0.0
            s = span[1] + gap

    def house(self, span: Span, line: float, height: float, attached: bool = False) -> None:
        """A building; without windows at its near end if it is attached to the one before."""

        def make(length: float) -> Mesh:
            size = (length, self.rng.uniform(8, 14), height)
            lit = self.scene.look.lit
            return building(self.rng, size, self.sign, lit, end_windows=not attached)

        self._put(span, line, make)

    def barrier(self, kind: Barrier, span: Span, line: float, heights: Span) -> None:
        """A wall, fence or hedge."""
        if kind == "hedge":
            color = leaf_color(self.scene)
        elif kind == "fence":
            color = hsv(0.08, 0.4, 0.5) if chance(self.rng, 0.25) else metal(self.rng)
        else:
            color = stone(self.rng, (0.3, 0.85))
        height = self.rng.uniform(*heights)
        self._put(span, line, lambda length: barrier(self.rng, kind, length, height, color))

    def plants(self, span: Span, line: float, spacing: float, low: bool = False) -> None:
        """Trees, or bushes if `low`."""
        for start in np.arange(span[0] + 1, span[1] - 1, spacing):
            color = leaf_color(self.scene)
            bare = self.scene.look.bare and chance(self.rng, 0.7)
            make = partial(bush, self.rng, color) if low else partial(tree, self.rng, color, bare)
            s, d = start + self.rng.uniform(0, 0.6 * spacing), line + self.rng.uniform(0, 3.0)
            self.scene.along(self.path, s, self.sign * d, make)

    def _put(self, span: Span, line: float, make: Callable[[float], Mesh]) -> None:
        """Makes an object of the length of the span at this distance, if it may be visible."""
        (x0, z0), (x1, z1) = (self.path.point(s, self.sign * line) for s in span)
        length = float(np.hypot(x1 - x0, z1 - z0))
        if self.scene.in_view((x0 + x1) / 2, (z0 + z1) / 2, length / 2 + 15):
            self.scene.put(make(length), x0, z0, float(np.arctan2(x1 - x0, z1 - z0)), CURB)


def build_sides(scene: Scene) -> None:
    """Builds up the street, and the far side of the one that crosses it."""
    plan = scene.plan
    for side in plan.sides:
        for stretch in plan.stretches():
            row = Row(scene, plan.path, side.sign)
            row.build(stretch, side.line, side.garden, side.style)
    if plan.junction is None:
        return
    # The blocks at the corners are the first ones of the street itself, beyond the junction.
    row, (left, right), half = Row(scene, plan.cross(), -1), plan.sides, plan.junction[1]
    corners = (-left.line - 12, right.line + 12)
    row.build((-60.0, corners[0]), half, left.garden, left.style)
    row.build((corners[1], 60.0), half, right.garden, right.style)
    if plan.ends:
        row.build(corners, half, right.garden, right.style)


def build_median(scene: Scene) -> None:
    """Puts a fence, wall, hedge, trees or nothing on the strip that divides the street, if any."""
    if not scene.plan.median:
        return
    barriers: tuple[Barrier, ...] = ("fence", "fence", "wall", "wall", "hedge")
    kind: Barrier | None = pick(scene.rng, (*barriers, None, None))
    trees = chance(scene.rng, 0.5)
    row = Row(scene, scene.plan.path, 1)
    for start, end in scene.plan.stretches():
        if kind is None and trees:
            row.plants((max(start, 4.0), end), -1.5, scene.rng.uniform(7, 14))
        elif kind is not None:
            edges = np.linspace(start, end, max(2, int((end - start) / 10)))
            for span in zip(edges[:-1], edges[1:], strict=True):
                row.barrier(kind, span, 0.0, (0.8, 1.4))


def build_backdrop(scene: Scene) -> None:
    """Closes the view at the end with buildings, trees, both or nothing."""
    rng = scene.rng
    towns = pick(rng, (0.0, 0.5, 1.0, None))
    if towns is None:
        return
    for angle in np.arange(-0.9, 0.9, 0.085):
        far = rng.uniform(150, 210)
        x, z = far * np.sin(angle), far * np.cos(angle)
        if not scene.in_view(x, z, 20.0) or chance(rng, 0.15):
            continue
        if chance(rng, towns):
            size = (8.0, rng.uniform(9, 18), rng.uniform(6, 45))
            mesh = building(rng, size, 1, scene.look.lit, street_windows=False)
            scene.put(mesh, x, z, float(angle), CURB)
        else:
            mesh = bush(rng, leaf_color(scene)).resize(8.0, rng.uniform(4, 8))
            scene.face(mesh, x, z)
