"""Road, sidewalks, verges, markings and rails."""

from __future__ import annotations

import numpy as np

from asap_tf.streets.labels import ID
from asap_tf.streets.look import Look
from asap_tf.streets.mesh import Color, Mesh, shade
from asap_tf.streets.paint import chance, hsv, pick
from asap_tf.streets.plan import CURB, REACH, Path, Plan

_ROAD, _WALK, _TERRAIN, _TRACK = (
    ID[name] for name in ("road", "sidewalk", "terrain", "rail track")
)
_FAR = 500.0

Span = tuple[float, float]


class _Surface:
    """Lays strips along a path, each over those before."""

    def __init__(self, mesh: Mesh, path: Path) -> None:
        self.mesh = mesh
        self.path = path

    def strip(self, id: int, color: Color, s: Span, d: Span, y: float = 0.0) -> None:
        """Covers the area between two places along the path and two offsets from it."""
        stations = _stations(*s)
        left, right = self.path.at(stations, min(d)), self.path.at(stations[::-1], max(d))
        x, z = np.concatenate([left, right], axis=1)
        self.mesh.add(np.stack([x, np.full(len(x), y), z], axis=1), color, id)

    def line(self, color: Color, s: Span, d: float, width: float) -> None:
        """Paints a line on the road."""
        self.strip(_ROAD, color, s, (d - width / 2, d + width / 2))

    def curb(self, color: Color, s: Span, d: float, toward: int) -> None:
        """Adds the step at an offset, facing right (`toward` 1) or left (-1)."""
        x, z = self.path.at(_stations(*s), d)
        top = np.stack([x, np.full(len(x), CURB), z], axis=1)
        for start, end in zip(top[:-1], top[1:], strict=True):
            corners = np.array([start, end, end, start])
            corners[2:, 1] = 0.0
            self.mesh.add(corners[::toward], color, _WALK)


def _stations(start: float, end: float) -> np.ndarray:
    """Where a strip may bend."""
    return np.linspace(start, end, max(2, int((end - start) / 6) + 1))


def ground(rng: np.random.Generator, plan: Plan, look: Look) -> Mesh:
    """All flat surfaces."""
    mesh = Mesh(_TERRAIN)
    corners = [(-_FAR, -20.0), (-_FAR, _FAR), (_FAR, _FAR), (_FAR, -20.0)]
    mesh.add([(x, CURB, z) for x, z in corners], look.soil)
    street = _Surface(mesh, plan.path)
    curb = shade(look.paving, pick(rng, (0.8, 1.2)))
    grass = look.soil if chance(rng, 0.7) else shade(look.foliage[0], 0.9)
    for side in plan.sides:
        verge = (_TERRAIN, grass)
        if side.tracks:
            verge = pick(rng, ((_TERRAIN, look.soil), (_TRACK, shade(look.asphalt, 0.8))))
        # In town the paving reaches the houses, and into the gaps between them.
        outer = side.line + (6.0 if side.style == "urban" else 0.0)
        for s in plan.stretches():
            walk = (side.sign * side.walk_from, side.sign * outer)
            street.strip(_WALK, look.paving, s, walk, CURB)
            street.strip(*verge, s, (side.sign * side.edge, side.sign * side.walk_from), CURB)
    left, right = (side.sign * side.edge for side in plan.sides)
    if plan.junction is not None:
        half, walk_width = plan.junction[1], rng.uniform(1.8, 3.5)
        cross = _Surface(mesh, plan.cross())
        cross.strip(_WALK, look.paving, (-_FAR, _FAR), (-half, half), CURB)
        lane = half - walk_width
        cross.strip(_ROAD, look.asphalt, (-_FAR, _FAR), (-lane, lane))
        cross.curb(curb, (-60.0, left), -lane, 1)
        cross.curb(curb, (right, 60.0), -lane, 1)
    end = plan.junction[0] if plan.ends and plan.junction else REACH
    street.strip(_ROAD, look.asphalt, (-8.0, end), (left, right))
    for s in plan.stretches():
        street.curb(curb, s, left, 1)
        street.curb(curb, s, right, -1)
    _mend(rng, street, (left, right), look)
    if chance(rng, 0.88):
        _mark(rng, street, (left, right), plan)
    if plan.median:
        half = plan.median / 2 - 0.15
        id, color = (_TERRAIN, grass) if chance(rng, 0.7) else (_WALK, look.paving)
        for s in plan.stretches():
            street.strip(id, color, s, (-half, half), CURB)
            street.curb(curb, s, half, 1)
            street.curb(curb, s, -half, -1)
    if plan.tram is not None:
        steel = hsv(0.6, 0.08, rng.uniform(0.35, 0.75))
        id, y = (_TRACK, CURB) if plan.tram_raised else (_ROAD, 0.0)
        for d in (plan.tram - 0.72, plan.tram + 0.72):
            street.strip(id, steel, (-8.0, end), (d - 0.05, d + 0.05), y)
    return mesh


def _mend(rng: np.random.Generator, street: _Surface, road: Span, look: Look) -> None:
    """Patches of newer and older asphalt, and manholes."""
    left, width = road[0], road[1] - road[0]
    for _ in range(int(rng.integers(0, 5))):
        s, d = rng.uniform(4, 40), left + width * rng.uniform(0.05, 0.6)
        tone = shade(look.asphalt, rng.uniform(0.65, 1.3))
        size = rng.uniform((1.0, 0.7), (9.0, 2.0))
        street.strip(_ROAD, tone, (s, s + size[0]), (d, d + size[1]))
    for _ in range(int(rng.integers(0, 4))):
        x, z = street.path.point(rng.uniform(5, 30), left + width * rng.uniform(0.2, 0.8))
        angles = np.arange(12) * (np.pi / 6)
        ring = np.stack([x + 0.34 * np.sin(angles), 0 * angles, z + 0.34 * np.cos(angles)], axis=1)
        street.mesh.add(ring, shade(look.asphalt, 0.55), _ROAD)


def _mark(rng: np.random.Generator, street: _Surface, road: Span, plan: Plan) -> None:
    """Lane lines, edge lines, crosswalks and stop lines."""
    value, width = rng.uniform(0.6, 1.0), rng.uniform(0.11, 0.18)
    ink = hsv(0.13, 0.75, value) if chance(rng, 0.18) else hsv(0.12, rng.uniform(0, 0.12), value)
    driven = sorted(lane.offset for lane in plan.lanes if lane.direction)
    dash, gap = rng.uniform(2.0, 5.0), rng.uniform(2.5, 7.0)
    phase, solid, edged = rng.uniform(0, dash + gap), chance(rng, 0.3), chance(rng, 0.5)
    for start, end in plan.stretches():
        for d in (np.array(driven[:-1]) + driven[1:]) / 2:
            between_directions = abs(d) < 0.1
            if between_directions and plan.median:
                continue
            if between_directions and solid:
                street.line(ink, (start, end), d - 0.12, width)
                street.line(ink, (start, end), d + 0.12, width)
                continue
            for s in np.arange(start + phase, min(end, 75.0) - dash, dash + gap):
                street.line(ink, (s, s + dash), d, width)
        if edged:
            street.line(ink, (start, end), driven[0] - 1.6, width)
            street.line(ink, (start, end), driven[-1] + 1.6, width)
    for s in _crosswalks(rng, plan):
        for d in np.arange(road[0] + 0.3, road[1] - 0.5, 1.05):
            street.strip(_ROAD, ink, (s, s + 2.6), (d, d + 0.52))
        for lane in plan.lanes:
            if lane.direction == 1:
                street.line(ink, (s - 1.3, s - 0.9), lane.offset, 2.8)


def _crosswalks(rng: np.random.Generator, plan: Plan) -> list[float]:
    """Where crosswalks begin."""
    if plan.junction is None:
        return [rng.uniform(7, 30)] if chance(rng, 0.3) else []
    middle, half = plan.junction
    places = [middle - half - 3.0] if plan.ends else [middle - half - 3.0, middle + half + 0.5]
    return places if chance(rng, 0.8) else []
