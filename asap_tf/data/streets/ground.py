"""Road, sidewalks, verges, markings and rails."""

from __future__ import annotations

import numpy as np

from asap_tf.data.streets.labels import ID
from asap_tf.data.streets.look import Look
from asap_tf.data.streets.mesh import Color, Mesh, shade
from asap_tf.data.streets.paint import chance, hsv, pick
from asap_tf.data.streets.plan import CURB, REACH, Path, Plan

_ROAD, _WALK, _TERRAIN, _TRACK = (
    ID[name] for name in ("road", "sidewalk", "terrain", "rail track")
)


def _stations(start: float, end: float) -> np.ndarray:
    """Where a strip bends: every few metres near the camera, more seldom far off."""
    return np.linspace(start, end, max(2, int((end - start) / 6) + 1))


def _strip(
    mesh: Mesh, path: Path, s: tuple[float, float], d: tuple[float, float], y: float, color: Color, id: int
) -> None:
    """Adds the ground between two offsets from a path."""
    stations = _stations(*s)
    low, high = min(d), max(d)
    left, right = path.at(stations, low), path.at(stations[::-1], high)
    x, z = np.concatenate([left[0], right[0]]), np.concatenate([left[1], right[1]])
    mesh.add(np.stack([x, np.full(len(x), y), z], axis=1), color, id)


def _curb(mesh: Mesh, path: Path, s: tuple[float, float], d: float, toward: int, color: Color) -> None:
    """Adds the step at offset `d`, facing right (1) or left (-1)."""
    stations = _stations(*s)
    for start, end in zip(stations[:-1], stations[1:], strict=True):
        (x0, z0), (x1, z1) = path.at(start, d), path.at(end, d)
        points = [(x0, CURB, z0), (x1, CURB, z1), (x1, 0, z1), (x0, 0, z0)]
        mesh.add(points if toward > 0 else points[::-1], color, _WALK)


def ground(rng: np.random.Generator, plan: Plan, look: Look) -> list[Mesh]:
    """All that lies flat, in painting order."""
    mesh = Mesh(_TERRAIN)
    far = 500.0
    mesh.add([(-far, CURB, -20), (-far, CURB, far), (far, CURB, far), (far, CURB, -20)], look.soil)
    path, curb = plan.path, shade(look.paving, pick(rng, (0.8, 1.2)))
    grass = look.soil if chance(rng, 0.7) else shade(look.foliage[0], 0.9)
    for side in plan.sides:
        bed = (look.soil, _TERRAIN) if chance(rng, 0.5) else (shade(look.asphalt, 0.8), _TRACK)
        for s in plan.stretches():
            if side.garden == 0 and side.style == "urban":
                _strip(mesh, path, s, (side.sign * side.line, side.sign * (side.line + 6)), CURB, look.paving, _WALK)
            _strip(mesh, path, s, (side.sign * side.walk_from, side.sign * side.line), CURB, look.paving, _WALK)
            color, id = bed if side.tracks else (grass, _TERRAIN)
            _strip(mesh, path, s, (side.sign * side.edge, side.sign * side.walk_from), CURB, color, id)
    left, right = (side.sign * side.edge for side in plan.sides)
    if plan.junction is not None:
        middle, half = plan.junction
        cross, walk = plan.cross(), rng.uniform(1.8, 3.5)
        for sign in (-1, 1):
            _strip(mesh, cross, (-far, far), (sign * (half - walk), sign * half), CURB, look.paving, _WALK)
        lane = half - walk
        _strip(mesh, cross, (-far, far), (-lane, lane), 0.0, look.asphalt, _ROAD)
        for s in ((-far, left), (right, far)):
            _curb(mesh, cross, s, -lane, 1, curb)
    end = REACH if not plan.ends or plan.junction is None else plan.junction[0]
    _strip(mesh, path, (-8.0, end), (left, right), 0.0, look.asphalt, _ROAD)
    for s in plan.stretches():
        _curb(mesh, path, s, left, 1, curb)
        _curb(mesh, path, s, right, -1, curb)
    _patches(rng, mesh, plan, look)
    _markings(rng, mesh, plan)
    if plan.median:
        color, id = (grass, _TERRAIN) if chance(rng, 0.7) else (look.paving, _WALK)
        half = plan.median / 2 - 0.15
        for s in plan.stretches():
            _strip(mesh, path, s, (-half, half), CURB, color, id)
            _curb(mesh, path, s, half, 1, curb)
            _curb(mesh, path, s, -half, -1, curb)
    if plan.tram is not None:
        steel = hsv(0.6, 0.08, rng.uniform(0.35, 0.75))
        raised = any(side.tracks for side in plan.sides)
        for rail in (plan.tram - 0.72, plan.tram + 0.72):
            strip = (rail - 0.05, rail + 0.05)
            _strip(mesh, path, (-8.0, end), strip, CURB + 0.01 if raised else 0.0, steel, _TRACK if raised else _ROAD)
    return [mesh]


def _patches(rng: np.random.Generator, mesh: Mesh, plan: Plan, look: Look) -> None:
    """Mended asphalt and manholes."""
    left, right = (side.sign * side.edge for side in plan.sides)
    for _ in range(int(rng.integers(0, 5))):
        s, d = rng.uniform(4, 40), rng.uniform(left + 0.5, right - 2.5)
        tone = shade(look.asphalt, rng.uniform(0.65, 1.3))
        _strip(mesh, plan.path, (s, s + rng.uniform(1, 9)), (d, d + rng.uniform(0.7, 2)), 0.0, tone, _ROAD)
    for _ in range(int(rng.integers(0, 4))):
        x, z = plan.path.at(rng.uniform(5, 30), rng.uniform(left + 1, right - 1))
        angles = np.arange(12) * (np.pi / 6)
        ring = np.stack([x + 0.34 * np.sin(angles), 0 * angles, z + 0.34 * np.cos(angles)], axis=1)
        mesh.add(ring, shade(look.asphalt, 0.55), _ROAD)


def _markings(rng: np.random.Generator, mesh: Mesh, plan: Plan) -> None:
    """Lane lines, edge lines, stop lines and crosswalks, more or less worn."""
    if chance(rng, 0.12):
        return
    value = rng.uniform(0.6, 1.0)
    ink = hsv(0.13, 0.75, value) if chance(rng, 0.18) else hsv(0.12, rng.uniform(0, 0.12), value)
    path, width = plan.path, rng.uniform(0.11, 0.18)
    driven = sorted(lane.offset for lane in plan.lanes if lane.direction)
    middles = [(a + b) / 2 for a, b in zip(driven[:-1], driven[1:], strict=True)]
    dash, gap = rng.uniform(2.0, 5.0), rng.uniform(2.5, 7.0)
    phase = rng.uniform(0, dash + gap)
    solid_middle = chance(rng, 0.3)
    for start, end in plan.stretches():
        for d in middles:
            if plan.median and abs(d) < 0.1:
                continue
            if abs(d) < 0.1 and solid_middle:
                for side in (-0.12, 0.12):
                    line = (d + side - width / 2, d + side + width / 2)
                    _strip(mesh, path, (start, end), line, 0.0, ink, _ROAD)
                continue
            for s in np.arange(start + phase, min(end, 75.0) - dash, dash + gap):
                _strip(mesh, path, (s, s + dash), (d - width / 2, d + width / 2), 0.0, ink, _ROAD)
        if chance(rng, 0.5):
            outer = (driven[0] - 1.6, driven[-1] + 1.6)
            for d in outer:
                _strip(mesh, path, (start, end), (d - width / 2, d + width / 2), 0.0, ink, _ROAD)
    left, right = (side.sign * side.edge for side in plan.sides)
    places = []
    if plan.junction is not None and chance(rng, 0.8):
        places = [plan.junction[0] - plan.junction[1] - 3.0]
        if not plan.ends:
            places.append(plan.junction[0] + plan.junction[1] + 0.5)
    elif chance(rng, 0.3):
        places = [rng.uniform(7, 30)]
    for s in places:
        for d in np.arange(left + 0.3, right - 0.5, 1.05):
            _strip(mesh, path, (s, s + 2.6), (d, d + 0.52), 0.0, ink, _ROAD)
        for lane in plan.lanes:
            if lane.direction == 1:
                stop = (lane.offset - 1.4, lane.offset + 1.4)
                _strip(mesh, path, (s - 1.3, s - 0.9), stop, 0.0, ink, _ROAD)
