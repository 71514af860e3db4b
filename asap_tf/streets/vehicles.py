"""Cars, vans, trucks, buses and trams. Each stands around its origin with its nose at +z."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from asap_tf.streets.bodywork import (
    PLATE,
    RUBBER,
    STEEL,
    Profile,
    end_panel,
    glass_color,
    lamps,
    mirrors,
    prism,
    side_panel,
    wheels,
)
from asap_tf.streets.mesh import Color, Mesh, bar, block, disc, shade
from asap_tf.streets.paint import any_color, chance, lacquer, pick

_SOOT: Color = (38, 38, 40)


class _Body(NamedTuple):
    """Proportions of a car, in meters; the cabin's glass begins at the belt."""

    length: float
    height: float
    half: float
    belt: float
    nose: float  # from the bumper to the windshield
    rake: float  # how far the windshield leans
    tail: float  # from the rear bumper to the rear window
    slope: float  # how far that leans


_BODIES = (
    _Body(4.6, 1.43, 0.9, 0.89, 1.15, 0.75, 0.75, 0.7),  # sedan
    _Body(3.9, 1.5, 0.9, 0.93, 0.95, 0.75, 0.12, 0.35),  # hatchback
    _Body(4.7, 1.48, 0.9, 0.92, 1.1, 0.75, 0.1, 0.35),  # station wagon
    _Body(4.6, 1.75, 0.97, 1.08, 1.1, 0.75, 0.08, 0.35),  # SUV
    _Body(5.1, 2.15, 0.97, 1.2, 0.75, 0.6, 0.04, 0.08),  # van
)


def car(rng: np.random.Generator, id: int, lit: bool) -> list[Mesh]:
    """A sedan, hatchback, station wagon, SUV or van, its nose at +z."""
    mesh = Mesh(id)
    paint, glass = lacquer(rng), glass_color(rng)
    trim = shade(paint, 0.8)
    body = pick(rng, _BODIES)
    half, belt, height = body.half, body.belt, body.height * rng.uniform(0.97, 1.05)
    front = body.length * rng.uniform(0.47, 0.53)
    back, sill, roof = -front, 0.26, half * 0.8
    cowl, rear = front - body.nose, back + body.tail
    profile: Profile = [
        (back, sill, half), (back - 0.02, belt * 0.75, half), (back + 0.06, belt, half),
        (rear, belt * 1.02, half), (rear + body.slope, height, roof),
        (cowl - body.rake, height, roof), (cowl, belt, half),
        (front - 0.12, belt * 0.82, half), (front, belt * 0.65, half), (front, sill, half),
    ]  # fmt: skip
    mirror = (half * 1.02, half * 1.16), (belt, belt + 0.16), cowl - 0.2
    mirrors(mesh, *mirror, trim, ahead=False)
    side_panel(mesh, [(z, y) for z, y, _ in profile[:4] + profile[6:]], half, paint)
    side_panel(mesh, [(z, y) for z, y, _ in profile[3:7]], half, paint, top_x=roof)
    prism(mesh, profile, [trim, paint, paint, glass, paint, glass, paint, paint, trim])

    panel = half + 0.01
    pillars = np.linspace(rear + 0.16, cowl - 0.14, 4 if body.length > 4.4 else 3)
    last = len(pillars) - 2
    for i, (z0, z1) in enumerate(zip(pillars[:-1], pillars[1:], strict=True)):
        lean0 = body.slope * 0.85 if i == 0 else 0.03
        lean1 = body.rake * 0.85 if i == last else 0.03
        low, high = belt * 1.06, height * 0.95
        pane = [(z0 + 0.03, low), (z0 + lean0, high), (z1 - lean1, high), (z1 - 0.03, low)]
        if height < 2 or i == last:  # vans have windows in front only
            side_panel(mesh, pane, half, glass, top_x=roof + 0.02)
        side_panel(mesh, block(z1 - 0.01, sill + 0.1, z1 + 0.01, belt), panel, trim)
        side_panel(mesh, block(z0 + 0.1, belt * 0.88, z0 + 0.28, belt * 0.92), panel, trim)
    side_panel(mesh, block(back + 0.1, sill - 0.06, front - 0.1, sill + 0.06), panel, RUBBER)
    radius, hub = (0.33 if height < 1.6 else 0.37), pick(rng, (STEEL, (60, 60, 62)))
    wheels(mesh, [back + 0.8, front - 0.85], radius, panel, hub)
    lamps(mesh, half, belt * 0.72, (back, front), lit)
    end_panel(mesh, (-half * 0.5, sill + 0.12, half * 0.5, belt * 0.62), front + 0.01, RUBBER, True)
    for out, ahead in ((-1, False), (1, True)):
        bumper, plate = out * (front + 0.02), out * (front + 0.03)
        end_panel(mesh, (-half, sill - 0.08, half, sill + 0.08), bumper, (34, 34, 36), ahead)
        end_panel(mesh, (-0.26, 0.42, 0.26, 0.53), plate, PLATE, ahead)
    mirrors(mesh, *mirror, trim, ahead=True)
    return [mesh]


def truck(rng: np.random.Generator, id: int, lit: bool) -> list[Mesh]:
    """Load and cab of a truck, 6 to 11 m long."""
    length, half = rng.uniform(6.0, 11.0), 1.24
    back, front = -length / 2, length / 2
    split = front - 2.1
    load, cab = Mesh(id), Mesh(id)
    load.box((-half * 0.9, half * 0.9), (0.5, 1.05), (back, split), _SOOT)
    load.box((-half, half), (0.45, 0.62), (back - 0.02, back + 0.1), (70, 70, 72))
    if chance(rng, 0.17):
        _tank(load, lacquer(rng), half, (back, split - 0.3))
    else:
        _box(rng, load, half, (back, split - 0.25))
    _cab(rng, cab, half, (split, front))
    wheels(load, [back + 1.2, back + 2.3] if length > 8 else [back + 1.3], 0.5, half, STEEL)
    wheels(cab, [front - 1.2], 0.5, half + 0.01, STEEL)
    lamps(cab, half, 0.62, (back - 0.04, front + 0.03), lit)
    end_panel(load, (-0.26, 0.5, 0.26, 0.62), back - 0.05, PLATE, False)
    return [load, cab]


def _tank(mesh: Mesh, color: Color, half: float, z: tuple[float, float]) -> None:
    ring = disc((0, 2.05), half * 0.95, 1.0, 14)[::-1]
    for (x0, y0), (x1, y1) in zip(ring, np.roll(ring, -1, axis=0), strict=True):
        mesh.add([(x0, y0, z[0]), (x0, y0, z[1]), (x1, y1, z[1]), (x1, y1, z[0])], color)
    mesh.add([(x, y, z[0]) for x, y in ring], shade(color, 0.85))


def _box(rng: np.random.Generator, mesh: Mesh, half: float, z: tuple[float, float]) -> None:
    """A closed box, a tarpaulin, a tipper, or an open bed with a crate on it."""
    kind = pick(rng, ("box", "box", "tarpaulin", "tipper", "bed"))
    floor, color = 1.05, lacquer(rng)
    low, high = {"tipper": (2.0, 2.7), "bed": (1.5, 1.6)}.get(kind, (3.1, 3.9))
    top = rng.uniform(low, high)
    mesh.box((-half, half), (floor, top), z, color)
    ribs = {"box": 2, "tarpaulin": 7, "tipper": 6, "bed": 5}[kind]
    for at in np.linspace(z[0] + 0.1, z[1] - 0.1, ribs + 1):
        rib = block(at - 0.03, floor + 0.04, at + 0.03, top - 0.04)
        side_panel(mesh, rib, half + 0.01, shade(color, 0.72))
    for x in (-half * 0.5, 0.0, half * 0.5):
        seam = (x - 0.02, floor + 0.1, x + 0.02, top - 0.1)
        end_panel(mesh, seam, z[0] - 0.01, shade(color, 0.6), False)
    if top > 3 and chance(rng, 0.6):
        stripe = block(z[0] + 0.6, floor + 0.7, z[1] - 0.7, top - 0.7)
        side_panel(mesh, stripe, half + 0.01, any_color(rng, (0.2, 0.9)))
    if kind == "bed":
        size = (floor + 0.3, floor + rng.uniform(0.9, 1.8))
        mesh.box((-0.9, 0.9), size, (z[0] + 0.6, rng.uniform(0, z[1] - 0.5)), any_color(rng))


def _cab(rng: np.random.Generator, mesh: Mesh, half: float, z: tuple[float, float]) -> None:
    (back, front), color, roof = z, lacquer(rng), rng.uniform(2.5, 3.1)
    glass = glass_color(rng)
    profile: Profile = [
        (back, 0.55, half), (back, roof, half * 0.95), (front - 0.3, roof, half * 0.93),
        (front - 0.05, 1.65, half), (front, 0.5, half),
    ]  # fmt: skip
    side_panel(mesh, [(at, y) for at, y, _ in profile], half, color, top_x=half * 0.94)
    prism(mesh, profile, [color, color, glass, color])
    sill, top = 1.7, roof - 0.35
    pane = [(back + 0.7, sill), (back + 0.7, top), (front - 0.35, top), (front - 0.2, sill)]
    side_panel(mesh, pane, half + 0.01, glass, top_x=half * 0.97)
    door = block(back + 0.6, 0.8, back + 0.63, roof - 0.3)
    side_panel(mesh, door, half + 0.01, shade(color, 0.7))
    end_panel(mesh, (-half * 0.8, 0.85, half * 0.8, 1.35), front + 0.03, _SOOT, True)
    mirrors(mesh, (half + 0.05, half + 0.28), (1.7, 2.3), front - 0.2, RUBBER, ahead=True)


class _Coach(NamedTuple):
    """Dimensions of a bus or tram: `low` and `high` bound the band of windows."""

    length: float
    half: float
    height: float
    low: float
    high: float
    pane: float


def _coach(
    rng: np.random.Generator, id: int, size: _Coach, body: Color, accent: Color, lit: bool
) -> Mesh:
    """A long body with a band of windows and some doors."""
    mesh = Mesh(id)
    glass = glass_color(rng)
    inside, glow = ((235, 225, 190), 0.75) if lit else (glass, 0.0)
    half, low, high, floor = size.half, size.low, size.high, 0.32
    back, front = -size.length / 2, size.length / 2
    mesh.box((-half, half), (floor, size.height), (back, front), body)
    side_panel(mesh, block(back, floor, front, floor + 0.28), half + 0.01, shade(accent, 0.6))
    if chance(rng, 0.6):
        side_panel(mesh, block(back, low - 0.42, front, low - 0.16), half + 0.01, accent)
    side_panel(mesh, block(back + 0.12, low, front - 0.08, high), half + 0.015, (26, 28, 32))
    count = round((size.length - 0.6) / size.pane)
    edges = np.linspace(back + 0.25, front - 0.15, count + 1)
    doors = range(count - 1, 0, -max(3, count // 3))
    for i, (z0, z1) in enumerate(zip(edges[:-1], edges[1:], strict=True)):
        leaves = [(z0 + 0.06, low + 0.06, z1 - 0.06)]
        if i in doors:
            frame, middle = block(z0, floor + 0.05, z1, high), (z0 + z1) / 2
            side_panel(mesh, frame, half + 0.02, shade(accent, 0.8))
            foot = floor + 0.12
            leaves = [(z0 + 0.06, foot, middle - 0.03), (middle + 0.03, foot, z1 - 0.06)]
        for left, foot, right in leaves:
            side_panel(mesh, block(left, foot, right, high - 0.07), half + 0.03, inside, glow)
    for out, ahead in ((1, True), (-1, False)):
        z, foot = out * (front + 0.02), low - 0.35 if ahead else low + 0.25
        end_panel(mesh, (-half * 0.9, foot, half * 0.9, high + 0.05), z, glass, ahead)
        sign = (-half * 0.7, high + 0.1, half * 0.7, min(high + 0.4, size.height - 0.06))
        end_panel(mesh, sign, z, (24, 22, 20), ahead)
        words = (-half * 0.5, high + 0.16, half * 0.45, min(high + 0.32, size.height - 0.1))
        end_panel(mesh, words, z + out * 0.01, (250, 170, 40), ahead, 0.7)
    lamps(mesh, half, floor + 0.35, (back - 0.02, front + 0.02), lit)
    return mesh


def bus(rng: np.random.Generator, id: int, lit: bool) -> list[Mesh]:
    """A city bus or a double-decker, 9 to 13 m long."""
    decker = chance(rng, 0.15)
    height = 4.2 if decker else rng.uniform(2.95, 3.3)
    size = _Coach(rng.uniform(9, 13), 1.27, height, 1.35, 2.2 if decker else height - 0.6, 1.45)
    accent, half, front = lacquer(rng), size.half, size.length / 2
    mesh = _coach(rng, id, size, any_color(rng, (0.1, 1.0), (0.3, 0.95)), accent, lit)
    if decker:
        glass = glass_color(rng)
        side_panel(mesh, block(0.1 - front, 2.75, front - 0.1, 3.75), half + 0.02, glass)
        end_panel(mesh, (-half * 0.9, 2.75, half * 0.9, 3.7), front + 0.03, glass, True)
    wheels(mesh, [2.6 - front, front - 2.5], 0.5, half + 0.04, STEEL)
    mirrors(mesh, (half + 0.04, half + 0.24), (1.9, 2.5), front + 0.1, RUBBER, ahead=True)
    mesh.box((-half * 0.6, half * 0.6), (height, height + 0.2), (-1.5, 1.5), shade(accent, 0.9))
    return [mesh]


def tram(rng: np.random.Generator, id: int, cars: int, lit: bool) -> list[Mesh]:
    """The cars of one train, each 11 m long, with skirts down to the rails and a pantograph."""
    size = _Coach(length=11.0, half=1.22, height=3.45, low=1.45, high=2.75, pane=1.9)
    body, accent = any_color(rng, (0.1, 1.0), (0.3, 0.95)), lacquer(rng)
    built = []
    for _ in range(cars):
        mesh = _coach(rng, id, size, body, accent, lit)
        side_panel(mesh, block(-5.5, 0.08, 5.5, 0.42), 1.26, _SOOT)
        for z in (-4.2, -2.6, 2.6, 4.2):
            side_panel(mesh, disc((z, 0.3), 0.3, count=10), 1.27, RUBBER)
        mesh.box((-0.9, 0.9), (3.45, 3.75), (-3.5, 3.5), shade(accent, 0.75))
        for arm in (bar((-0.6, 3.7), (0.9, 4.5), 0.1), bar((0.9, 4.5), (-0.5, 5.3), 0.1)):
            side_panel(mesh, arm, 0.03, _SOOT)
        for ahead in (False, True):
            end_panel(mesh, (-0.8, 5.28, 0.8, 5.36), -0.5, _SOOT, ahead)
        built.append(mesh)
    return built
