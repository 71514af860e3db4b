"""The plan of a street: its course, its cross-section, its junction."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from asap_tf.streets.paint import chance, pick

Style = Literal["urban", "suburb", "green", "works"]

_STYLES: tuple[Style, ...] = ("urban", "urban", "suburb", "green", "works")

REACH = 130.0
"""How far ahead the street is built, in meters."""

CURB = 0.13
"""How far sidewalks lie above the road."""


@dataclass(frozen=True)
class Path:
    """A street's middle line: straight, or with decreasing curvature.

    Attributes:
        x: World x of its start.
        z: World z of its start.
        heading: Its direction there.
        bend: Curvature at its start, 1/m; to the right if positive.
    """

    x: float
    z: float
    heading: float = 0.0
    bend: float = 0.0

    def at(self, s: np.ndarray, d: float) -> tuple[np.ndarray, np.ndarray]:
        """World x and z, `s` meters on and `d` meters to the right."""
        root = np.sqrt(1 + (self.bend * s) ** 2)
        aside = self.bend * s**2 / (1 + root)
        slope = self.bend * s / root
        length = np.sqrt(1 + slope**2)
        right, ahead = aside + d / length, s - d * slope / length
        sin, cos = np.sin(self.heading), np.cos(self.heading)
        return self.x + right * cos + ahead * sin, self.z - right * sin + ahead * cos

    def point(self, s: float, d: float) -> tuple[float, float]:
        """World x and z of one place."""
        x, z = self.at(np.array([s]), d)
        return float(x[0]), float(z[0])

    def direction(self, s: float) -> float:
        """The heading, `s` meters on."""
        bend = self.bend * s
        return self.heading + float(np.arctan(bend / np.sqrt(1 + bend**2)))


@dataclass(frozen=True)
class Lane:
    """A lane for vehicles: middle, direction (1 ours, -1 against us, 0 parking) and start."""

    offset: float
    direction: int
    start: float


@dataclass(frozen=True)
class Side:
    """One side of a street, from the road outwards.

    Attributes:
        sign: 1 right of the road, -1 left.
        edge: Where the road ends, meters from the middle, always positive.
        verge: Width of a strip of grass beside the road.
        tracks: The strip is a bed for a tram instead.
        walk: Width of the sidewalk, 0 if there is none.
        garden: Between the sidewalk and the buildings.
        style: What it is built up with.
    """

    sign: int
    edge: float
    verge: float
    tracks: bool
    walk: float
    garden: float
    style: Style

    @property
    def walk_from(self) -> float:
        """Where the sidewalk begins, meters from the middle."""
        return self.edge + self.verge

    @property
    def line(self) -> float:
        """Where the sidewalk ends and plots begin."""
        return self.walk_from + self.walk


@dataclass(frozen=True)
class Plan:
    """A street.

    Attributes:
        path: Its middle.
        lanes: All of them, parking lanes too.
        median: Width of what divides the two directions, 0 for none.
        sides: Left and right.
        junction: Where along the path a street crosses, and half its width; None for none.
        ends: The street ends at the junction, opposite to a row of buildings.
        tram: Offset of the rails, None for none.
        camera_offset: Where the camera is.
    """

    path: Path
    lanes: tuple[Lane, ...]
    median: float
    sides: tuple[Side, Side]
    junction: tuple[float, float] | None
    ends: bool
    tram: float | None
    camera_offset: float

    @property
    def tram_raised(self) -> bool:
        """Whether the rails have a bed of their own, level with the sidewalks."""
        return any(side.tracks for side in self.sides)

    def stretches(self, start: float = -8.0) -> list[tuple[float, float]]:
        """The parts of the street that no junction interrupts."""
        if self.junction is None:
            return [(start, REACH)]
        middle, half = self.junction
        before = (start, middle - half)
        return [before] if self.ends else [before, (middle + half, REACH)]

    def cross(self) -> Path:
        """The middle of the crossing street, to the right."""
        if self.junction is None:
            raise ValueError("this street has no junction")
        middle = self.junction[0]
        return Path(*self.path.point(middle, 0.0), self.path.direction(middle) + np.pi / 2)


def draw_plan(rng: np.random.Generator) -> Plan:
    """Draws the plan of one frame."""
    hand = pick(rng, (1, 1, 1, -1))  # traffic keeps right, or left
    ours, theirs = pick(rng, (1, 1, 2, 3)), pick(rng, (0, 1, 1, 2))
    width = rng.uniform(2.9, 3.5)
    median = rng.uniform(1.2, 4.5) if theirs and chance(rng, 0.3) else 0.0
    own = [Lane(hand * (median / 2 + width * (i + 0.5)), 1, 6.0) for i in range(ours)]
    other = [Lane(-hand * (median / 2 + width * (i + 0.5)), -1, 3.0) for i in range(theirs)]
    lanes = own + other
    camera = pick(rng, own).offset
    tram = pick(rng, lanes).offset if chance(rng, 0.22) else None

    sides, style = [], pick(rng, _STYLES)
    for sign in (-1, 1):
        edge = median / 2 + width * (ours if sign == hand else theirs)
        if chance(rng, 0.55):
            lanes.append(Lane(sign * (edge + 1.1), 0, 4.0))
            edge += 2.2
        tracks = tram is None and chance(rng, 0.14)
        side = _draw_side(rng, sign, edge, tracks, style)
        if tracks:
            tram = sign * (edge + side.verge / 2)
        sides.append(side)
    side = pick(rng, sides)
    if side.walk > 2 and chance(rng, 0.17):
        camera = side.sign * (side.walk_from + side.walk / 2)
    junction = (rng.uniform(12, 42), rng.uniform(3.5, 6.5)) if chance(rng, 0.5) else None
    return Plan(
        path=Path(0.0, 0.0, 0.0, rng.normal(0, 0.009) if chance(rng, 0.7) else 0.0),
        lanes=tuple(lanes),
        median=median,
        sides=(sides[0], sides[1]),
        junction=junction,
        ends=junction is not None and chance(rng, 0.35),
        tram=tram,
        camera_offset=camera + rng.normal(0, 0.3),
    )


def _draw_side(
    rng: np.random.Generator, sign: int, edge: float, tracks: bool, style: Style
) -> Side:
    """One side of the street; `style` is only its most likely style."""
    if chance(rng, 0.4):
        style = pick(rng, _STYLES)
    verge = rng.uniform(0.8, 3.5) if chance(rng, 0.4) else 0.0
    walk = 0.0 if chance(rng, 0.08) else rng.uniform(1.6, 4.5)
    garden = 0.0 if style == "urban" else rng.uniform(1.5, 7.0)
    return Side(sign, edge, 3.4 if tracks else verge, tracks, walk, garden, style)
