"""Cars, vans, trucks, buses and trams: a side profile drawn out to the vehicle's width."""

from __future__ import annotations

import numpy as np

from asap_tf.data.streets.mesh import Color, Mesh, bar, block, clockwise, disc, shade
from asap_tf.data.streets.paint import any_color, chance, hsv, lacquer, pick

Profile = list[tuple[float, float, float]]
"""z, y and half width of each corner, clockwise as seen from the vehicle's right."""

_RUBBER: Color = (28, 28, 30)
_STEEL: Color = (150, 152, 155)


def _prism(mesh: Mesh, profile: Profile, colors: list[Color]) -> None:
    """Draws the profile out; `colors[i]` is for the face between corners i and i + 1."""
    for i, color in enumerate(colors):
        (z0, y0, w0), (z1, y1, w1) = profile[i], profile[(i + 1) % len(profile)]
        mesh.add([(-w0, y0, z0), (-w1, y1, z1), (w1, y1, z1), (w0, y0, z0)], color)


def _side(
    mesh: Mesh,
    outline: list[tuple[float, float]] | np.ndarray,
    x: tuple[float, float],
    color: Color | None,
    glow: float = 0.0,
) -> None:
    """Adds a polygon given by z and y to both sides; x at its lowest and highest point."""
    z, y = np.asarray(outline, float).T
    if not clockwise(z, y):
        z, y = z[::-1], y[::-1]
    low, high = y.min(), y.max()
    right = np.empty((len(z), 3))
    right[:, 0] = x[0] + (x[1] - x[0]) * (y - low) / (high - low)
    right[:, 1], right[:, 2] = y, z
    mesh.add(right, color, glow=glow)
    mesh.add(right[::-1] * (-1.0, 1.0, 1.0), color, glow=glow)


def _end(
    mesh: Mesh,
    rect: tuple[float, float, float, float],
    z: float,
    color: Color,
    ahead: bool,
    glow: float = 0.0,
) -> None:
    """Adds an upright rectangle x0, y0, x1, y1 that looks ahead or back."""
    x0, y0, x1, y1 = rect
    points = [(x0, y1, z), (x1, y1, z), (x1, y0, z), (x0, y0, z)]
    mesh.add(points[::-1] if ahead else points, color, glow=glow)


def _wheels(mesh: Mesh, positions: list[float], radius: float, x: float, hub: Color) -> None:
    for z in positions:
        _side(mesh, disc((z, radius * 1.08), radius * 1.16, count=14), (x, x), (14, 14, 16))
        _side(mesh, disc((z, radius), radius, count=14), (x + 0.01, x + 0.01), _RUBBER)
        _side(mesh, disc((z, radius), radius * 0.6, count=10), (x + 0.02, x + 0.02), hub)
        _side(mesh, disc((z, radius), radius * 0.2, count=6), (x + 0.03, x + 0.03), _RUBBER)


def _lamps(mesh: Mesh, half: float, y: float, ends: tuple[float, float], lit: bool) -> None:
    """Headlights ahead, tail lights behind."""
    back, front = ends
    for side in (-1, 1):
        x0, x1 = sorted((side * half * 0.58, side * half * 0.94))
        _end(mesh, (x0, y, x1, y + 0.17), front + 0.01, (236, 238, 225), True, 1.0 if lit else 0.2)
        _end(mesh, (x0, y + 0.08, x1, y + 0.28), back - 0.01, (190, 22, 20), False, 0.8 * lit)


def _glass(rng: np.random.Generator) -> Color:
    return hsv(rng.uniform(0.5, 0.65), rng.uniform(0.05, 0.35), rng.uniform(0.1, 0.42))


def car(rng: np.random.Generator, id: int, lit: bool) -> list[Mesh]:
    """A saloon, hatchback, estate, off-roader or van, about 4.5 m long, its nose at +z."""
    mesh = Mesh(id)
    body, glass = lacquer(rng), _glass(rng)
    kind = pick(rng, ("saloon", "hatch", "estate", "offroad", "van"))
    length = {"saloon": 4.6, "hatch": 3.9, "estate": 4.7, "offroad": 4.6, "van": 5.1}[kind]
    height = {"saloon": 1.43, "hatch": 1.5, "estate": 1.48, "offroad": 1.75, "van": 2.15}[kind]
    length, height = length * rng.uniform(0.94, 1.06), height * rng.uniform(0.96, 1.05)
    half = 0.9 * (1.08 if kind in ("offroad", "van") else 1.0)
    belt = 0.62 * height if kind != "van" else 0.56 * height
    a, b = -length / 2, length / 2
    nose, tail = {
        "saloon": (1.15, 0.75), "hatch": (0.95, 0.12), "estate": (1.1, 0.1),
        "offroad": (1.1, 0.08), "van": (0.75, 0.04),
    }[kind]  # fmt: skip
    rake, slope = (0.75, 0.7 if kind == "saloon" else 0.35) if kind != "van" else (0.6, 0.08)
    sill, hood, roof = 0.26, belt * 0.93, half * 0.8
    profile: Profile = [
        (a, sill, half), (a - 0.02, belt * 0.75, half), (a + 0.06, belt, half),
        (a + tail, belt * 1.02, half), (a + tail + slope, height, roof),
        (b - nose - rake, height, roof), (b - nose, belt, half),
        (b - 0.12, hood * 0.88, half), (b, hood * 0.7, half), (b, sill, half),
    ]  # fmt: skip
    trim = shade(body, 0.8)
    _side(mesh, [(z, y) for z, y, _ in profile if y <= belt * 1.03], (half, half), body)
    _side(mesh, [(z, y) for z, y, _ in profile[3:7]], (half, roof), body)
    _prism(mesh, profile, [trim, body, body, glass, body, glass, body, body, trim])
    # Windows, a little inside the cabin's outline.
    low, high = belt * 1.06, height * 0.95
    rear, front = a + tail + 0.16, b - nose - 0.14
    doors = np.linspace(rear, front, 4 if length > 4.4 else 3)
    for i, (z0, z1) in enumerate(zip(doors[:-1], doors[1:], strict=True)):
        if kind == "van" and i < len(doors) - 2 and length > 5:
            continue
        lean0 = slope * 0.85 if i == 0 else 0.03
        lean1 = rake * 0.85 if i == len(doors) - 2 else 0.03
        pane = [(z0 + 0.03, low), (z0 + lean0, high), (z1 - lean1, high), (z1 - 0.03, low)]
        _side(mesh, pane, (half, roof + 0.02), glass)
        _side(mesh, block(z1 - 0.01, sill + 0.1, z1 + 0.01, belt), (half + 0.01,) * 2, trim)
        _side(mesh, block(z0 + 0.1, belt * 0.88, z0 + 0.28, belt * 0.92), (half + 0.01,) * 2, trim)
    _side(mesh, block(a + 0.1, sill - 0.06, b - 0.1, sill + 0.06), (half + 0.01,) * 2, (30, 30, 32))
    radius = 0.33 if height < 1.6 else 0.37
    _wheels(mesh, [a + 0.8, b - 0.85], radius, half + 0.01, pick(rng, (_STEEL, (60, 60, 62))))
    _lamps(mesh, half, belt * 0.72, (a, b), lit)
    _end(mesh, (-half * 0.5, sill + 0.12, half * 0.5, belt * 0.62), b + 0.01, (24, 24, 26), True)
    for z, ahead in ((a - 0.03, False), (b + 0.02, True)):
        _end(mesh, (-half, sill - 0.08, half, sill + 0.1), z, (34, 34, 36), ahead)
        _end(
            mesh, (-0.26, 0.42, 0.26, 0.53), z + (0.01 if ahead else -0.01), (225, 225, 215), ahead
        )
    for side in (-1, 1):
        x0, x1 = sorted((side * half * 1.02, side * half * 1.16))
        _end(mesh, (x0, belt, x1, belt + 0.16), b - nose - 0.2, trim, False)
        _end(mesh, (x0, belt, x1, belt + 0.16), b - nose - 0.15, trim, True)
    return [mesh]


def truck(rng: np.random.Generator, id: int, lit: bool) -> list[Mesh]:
    """Load and cab of a lorry: box, tarpaulin, tank, tipper or load bed; 6 to 11 m long."""
    cab, load, glass = lacquer(rng), lacquer(rng), _glass(rng)
    kind = pick(rng, ("box", "box", "tarpaulin", "tank", "tipper", "bed"))
    length, half = rng.uniform(6.0, 11.0), 1.24
    top = rng.uniform(3.1, 3.9) if kind in ("box", "tarpaulin") else rng.uniform(2.0, 2.7)
    a, b, floor, roof = -length / 2, length / 2, 1.05, rng.uniform(2.5, 3.1)
    split = b - 2.1
    cargo, front = Mesh(id), Mesh(id)
    cargo.box((-half * 0.9, half * 0.9), (0.5, floor), (a, split), (38, 38, 40))
    cargo.box((-half, half), (0.45, 0.62), (a - 0.02, a + 0.1), (70, 70, 72))
    if kind == "tank":
        ring = disc((0, floor + 1.0), half * 0.95, 1.0, 14)
        for (x0, y0), (x1, y1) in zip(ring, np.roll(ring, -1, axis=0), strict=True):
            span = [(x0, y0, a), (x0, y0, split - 0.3), (x1, y1, split - 0.3), (x1, y1, a)]
            cargo.add(span[::-1], load)
        cargo.add([(x, y, a) for x, y in ring[::-1]], shade(load, 0.85))
    else:
        walls = top if kind != "bed" else floor + 0.5
        cargo.box((-half, half), (floor, walls), (a, split - 0.25), load)
        ribs = {"box": 2, "tarpaulin": 7, "tipper": 6, "bed": 5}[kind]
        for z in np.linspace(a + 0.1, split - 0.35, ribs + 1):
            rib = block(z - 0.03, floor + 0.04, z + 0.03, walls - 0.04)
            _side(cargo, rib, (half + 0.01,) * 2, shade(load, 0.72))
        if kind in ("box", "tarpaulin") and chance(rng, 0.6):
            stripe = block(a + 0.6, floor + 0.7, split - 1.0, walls - 0.7)
            _side(cargo, stripe, (half + 0.01,) * 2, any_color(rng, (0.2, 0.9)))
        for x in (-half * 0.5, 0.0, half * 0.5):
            _end(
                cargo,
                (x - 0.02, floor + 0.1, x + 0.02, walls - 0.1),
                a - 0.01,
                shade(load, 0.6),
                False,
            )
        if kind == "bed":
            crate = (floor + 0.3, floor + rng.uniform(0.9, 1.8))
            cargo.box((-0.9, 0.9), crate, (a + 0.6, rng.uniform(0, split - 0.8)), any_color(rng))
    profile: Profile = [
        (split, 0.55, half), (split, roof, half * 0.95), (b - 0.3, roof, half * 0.93),
        (b - 0.05, 1.65, half), (b, 0.5, half),
    ]  # fmt: skip
    _side(front, [(z, y) for z, y, _ in profile], (half, half * 0.94), cab)
    _prism(front, profile, [cab, cab, glass, cab])
    pane = [(split + 0.7, 1.7), (split + 0.7, roof - 0.35), (b - 0.35, roof - 0.35), (b - 0.2, 1.7)]
    _side(front, pane, (half + 0.01, half * 0.97), glass)
    _side(
        front,
        block(split + 0.6, 0.8, split + 0.63, roof - 0.3),
        (half + 0.01,) * 2,
        shade(cab, 0.7),
    )
    _end(front, (-half * 0.8, 0.85, half * 0.8, 1.35), b + 0.03, (30, 30, 32), True)
    for side in (-1, 1):
        x0, x1 = sorted((side * (half + 0.05), side * (half + 0.28)))
        _end(front, (x0, 1.7, x1, 2.3), b - 0.2, (25, 25, 26), True)
    _wheels(cargo, [a + 1.2, a + 2.3] if length > 8 else [a + 1.3], 0.5, half, _STEEL)
    _wheels(front, [b - 1.2], 0.5, half + 0.01, _STEEL)
    _lamps(front, half, 0.62, (a - 0.04, b + 0.03), lit)
    _end(cargo, (-0.26, 0.5, 0.26, 0.62), a - 0.05, (225, 225, 215), False)
    return [cargo, front]


def _coach(
    rng: np.random.Generator,
    id: int,
    length: float,
    half: float,
    height: float,
    windows: tuple[float, float, float],
    lit: bool,
) -> tuple[Mesh, Color]:
    """A long body with a band of windows: bottom and top of the band, length of a pane."""
    mesh = Mesh(id)
    body, accent, glass = any_color(rng, (0.1, 1.0), (0.3, 0.95)), lacquer(rng), _glass(rng)
    a, b, floor = -length / 2, length / 2, 0.32
    low, high, pane = windows
    glow = 0.75 if lit else 0.0
    light: Color = (235, 225, 190)
    inside = light if lit else glass
    mesh.box((-half, half), (floor, height), (a, b), body)
    _side(mesh, block(a, floor, b, floor + 0.28), (half + 0.01,) * 2, shade(accent, 0.6))
    if chance(rng, 0.6):
        _side(mesh, block(a, low - 0.42, b, low - 0.16), (half + 0.01,) * 2, accent)
    _side(mesh, block(a + 0.12, low, b - 0.08, high), (half + 0.015,) * 2, (26, 28, 32))
    count = max(3, round((length - 0.6) / pane))
    edges = np.linspace(a + 0.25, b - 0.15, count + 1)
    doors = set(range(count - 1, 0, -max(3, count // 3)))
    for i, (z0, z1) in enumerate(zip(edges[:-1], edges[1:], strict=True)):
        bottom = floor + 0.12 if i in doors else low + 0.06
        if i in doors:
            frame = block(z0, floor + 0.05, z1, high)
            _side(mesh, frame, (half + 0.02,) * 2, shade(accent, 0.8))
            middle = (z0 + z1) / 2
            for left, right in ((z0 + 0.06, middle - 0.03), (middle + 0.03, z1 - 0.06)):
                leaf = block(left, bottom, right, high - 0.08)
                _side(mesh, leaf, (half + 0.03,) * 2, inside, glow)
        else:
            leaf = block(z0 + 0.06, bottom, z1 - 0.06, high - 0.06)
            _side(mesh, leaf, (half + 0.03,) * 2, inside, glow)
    for z, ahead in ((b + 0.02, True), (a - 0.02, False)):
        wide = (-half * 0.9, low - (0.35 if ahead else -0.25), half * 0.9, high + 0.05)
        _end(mesh, wide, z, glass, ahead)
        sign = (-half * 0.7, high + 0.1, half * 0.7, min(high + 0.4, height - 0.06))
        _end(mesh, sign, z, (24, 22, 20), ahead)
        words = (-half * 0.5, high + 0.16, half * 0.45, min(high + 0.32, height - 0.1))
        _end(mesh, words, z + (0.01 if ahead else -0.01), (250, 170, 40), ahead, 0.7)
    _lamps(mesh, half, floor + 0.35, (a - 0.02, b + 0.02), lit)
    return mesh, accent


def bus(rng: np.random.Generator, id: int, lit: bool) -> list[Mesh]:
    """A city bus or a double decker, 9 to 13 m long."""
    decker = chance(rng, 0.15)
    length, half = rng.uniform(9.0, 13.0), 1.27
    height = 4.2 if decker else rng.uniform(2.95, 3.3)
    top = 2.2 if decker else height - 0.6
    mesh, accent = _coach(rng, id, length, half, height, (1.35, top, 1.45), lit)
    if decker:
        band = block(-length / 2 + 0.1, 2.75, length / 2 - 0.1, 3.75)
        _side(mesh, band, (half + 0.02,) * 2, _glass(rng))
        _end(mesh, (-half * 0.9, 2.75, half * 0.9, 3.7), length / 2 + 0.03, _glass(rng), True)
    _wheels(mesh, [-length / 2 + 2.6, length / 2 - 2.5], 0.5, half + 0.04, _STEEL)
    for side in (-1, 1):
        x0, x1 = sorted((side * (half + 0.04), side * (half + 0.24)))
        _end(mesh, (x0, 1.9, x1, 2.5), length / 2 + 0.1, (25, 25, 26), True)
    mesh.box((-half * 0.6, half * 0.6), (height, height + 0.2), (-1.5, 1.5), shade(accent, 0.9))
    return [mesh]


def tram(rng: np.random.Generator, id: int, cars: int, lit: bool) -> list[Mesh]:
    """The cars of one train, each about 11 m long, its skirts down to the rails."""
    state = rng.bit_generator.state
    built = []
    for _ in range(cars):
        rng.bit_generator.state = state  # all cars alike
        mesh, accent = _coach(rng, id, 11.0, 1.22, 3.45, (1.45, 2.75, 1.9), lit)
        _side(mesh, block(-5.5, 0.08, 5.5, 0.42), (1.26, 1.26), (40, 40, 43))
        for z in (-3.4, 3.4):
            for step in (-0.8, 0.8):
                _side(mesh, disc((z + step, 0.3), 0.3, count=10), (1.27, 1.27), (18, 18, 20))
        mesh.box((-0.9, 0.9), (3.45, 3.75), (-3.5, 3.5), shade(accent, 0.75))
        for start, end in (((-0.6, 3.7), (0.9, 4.5)), ((0.9, 4.5), (-0.5, 5.3))):
            _side(mesh, bar(start, end, 0.1), (0.03, 0.03), (40, 40, 42))
        _end(mesh, (-0.8, 5.28, 0.8, 5.36), -0.5, (40, 40, 42), False)
        _end(mesh, (-0.8, 5.28, 0.8, 5.36), -0.5, (40, 40, 42), True)
        built.append(mesh)
    return built
