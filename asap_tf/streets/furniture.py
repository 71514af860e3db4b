"""Objects beside a street: lamps, lights, signs, bollards, trees, bushes, bins."""

from __future__ import annotations

import numpy as np

from asap_tf.streets.labels import ID, UNSEEN
from asap_tf.streets.mesh import Color, Mesh, bar, block, disc, shade
from asap_tf.streets.paint import any_color, chance, hsv, metal, pick, signal
from asap_tf.streets.textures import crown, hoarding

_LIGHT, _SIGN = ID["traffic light"], ID["traffic sign"]


def _post(mesh: Mesh, height: float, width: float, color: Color, x: float = 0.0) -> None:
    """An upright tube: a lit and a shaded strip."""
    mesh.flat(bar((x, 0), (x, height), width, width * 0.8), color)
    mesh.flat(
        bar((x + width * 0.25, 0), (x + width * 0.2, height), width * 0.5, width * 0.4),
        shade(color, 0.7),
    )


def lamp_post(rng: np.random.Generator, arm: float, lit: bool) -> Mesh:
    """A street lamp whose arm reaches `arm` meters to its right; 0 for a lantern on top."""
    mesh = Mesh(ID["pole"])
    color, height = metal(rng), rng.uniform(4.5, 9.0)
    _post(mesh, height, rng.uniform(0.13, 0.24), color)
    mesh.flat(block(-0.17, 0, 0.17, 0.7), shade(color, 0.85))
    bulb: Color = (255, 235, 190) if lit else (215, 218, 220)
    if arm:
        mesh.flat(bar((0, height - 0.1), (arm, height + 0.35), 0.11, 0.09), color)
        head = bar((arm * 0.7, height + 0.2), (arm * 1.2, height + 0.36), 0.2, 0.14)
        mesh.flat(head, shade(color, 0.8))
        mesh.flat(
            bar((arm * 0.75, height + 0.14), (arm * 1.15, height + 0.27), 0.1),
            bulb,
            glow=float(lit),
        )
    else:
        mesh.flat(disc((0, height + 0.2), 0.26, 0.32), bulb, glow=float(lit))
        mesh.flat(bar((-0.32, height + 0.5), (0.32, height + 0.5), 0.1), shade(color, 0.7))
    return mesh


def mast(rng: np.random.Generator) -> Mesh:
    """A tall wooden or concrete mast with a cross arm and insulators."""
    mesh = Mesh(ID["pole"])
    color, height = hsv(0.08, rng.uniform(0, 0.5), rng.uniform(0.2, 0.6)), rng.uniform(6.5, 10.0)
    _post(mesh, height, rng.uniform(0.2, 0.34), color)
    for y in (height - 0.4, height - 1.1)[: pick(rng, (1, 2))]:
        mesh.flat(bar((-0.9, y), (0.9, y), 0.13), shade(color, 0.8))
        for x in (-0.8, 0.8):
            mesh.flat(block(x - 0.05, y, x + 0.05, y + 0.2), (120, 90, 80))
    return mesh


def bollard(rng: np.random.Generator, color: Color) -> Mesh:
    """A knee-high post with a bright ring."""
    mesh = Mesh(ID["pole"])
    _post(mesh, 0.95, 0.16, color)
    mesh.flat(block(-0.08, 0.7, 0.08, 0.8), pick(rng, ((230, 230, 230), (190, 40, 30))))
    return mesh


def _light_head(rng: np.random.Generator, mesh: Mesh, x: float, y: float, lamps: int) -> None:
    """A signal head hung with its foot at (x, y): box, back plate, hoods and lamps."""
    body = pick(rng, ((30, 32, 30), (24, 26, 28), (34, 60, 44), (150, 130, 40)))
    half, tall = 0.21, 0.36 * lamps + 0.08
    if chance(rng, 0.4):
        edge = (225, 225, 225) if chance(rng, 0.4) else body
        mesh.flat(block(x - half - 0.13, y - 0.12, x + half + 0.13, y + tall + 0.12), edge, _LIGHT)
        mesh.flat(
            block(x - half - 0.1, y - 0.09, x + half + 0.1, y + tall + 0.09), (22, 22, 24), _LIGHT
        )
    mesh.flat(block(x - half, y, x + half, y + tall), body, _LIGHT)
    on = int(rng.integers(lamps))
    hues = (0.36, 0.12, 0.0) if lamps == 3 else (0.36, 0.0)
    for i in range(lamps):
        center = (x, y + 0.22 + 0.36 * i)
        mesh.flat(disc((x, center[1] + 0.02), 0.155), shade(body, 0.5), _LIGHT)
        lamp = hsv(hues[i], 0.85, 1.0 if i == on else 0.22)
        mesh.flat(disc(center, 0.125), lamp, _LIGHT, glow=1.0 if i == on else 0.0)
        mesh.flat(
            bar((x - 0.15, center[1] + 0.14), (x + 0.15, center[1] + 0.14), 0.05),
            shade(body, 0.6),
            _LIGHT,
        )


def traffic_light(rng: np.random.Generator, reach: float) -> Mesh:
    """Signals on a post; with a `reach` other than 0 also over the road, so far to the right."""
    mesh = Mesh(ID["pole"])
    color = metal(rng)
    if reach:
        height = rng.uniform(5.2, 6.2)
        _post(mesh, height, 0.22, color)
        mesh.flat(bar((0, height - 0.3), (reach, height), 0.16, 0.1), color)
        for share in (0.95, 0.55)[: pick(rng, (1, 2))]:
            _light_head(rng, mesh, reach * share, height - 1.1, 3)
    else:
        _post(mesh, 3.5, 0.14, color)
    _light_head(rng, mesh, 0.0, rng.uniform(2.2, 2.6), 3)
    if chance(rng, 0.35):
        _light_head(rng, mesh, pick(rng, (-0.4, 0.4)), 1.9, 2)
    return mesh


_SHAPES = {
    "round": (18, 0),
    "triangle": (3, 90),
    "yield": (3, -90),
    "stop": (8, 22.5),
    "diamond": (4, 0),
}
"""Number of corners, and the angle of the first in degrees."""


def _sign_face(rng: np.random.Generator, mesh: Mesh, x: float, y: float, size: float) -> None:
    """One sign: round, triangular, octagonal, a diamond, or a rectangle with a symbol."""
    kind = pick(rng, ("round", "round", "triangle", "yield", "stop", "diamond", "panel", "panel"))
    rim = signal(rng)
    ground: Color = pick(rng, ((240, 240, 238), (250, 205, 30)))
    ink: Color = (25, 25, 30)
    if kind == "stop" or (kind in ("round", "panel") and chance(rng, 0.45)):
        ground, rim, ink = rim, (240, 240, 240), (245, 245, 245)
    outer = np.array(block(-1, -1, 1, 1)) * (size, size * rng.uniform(0.7, 1.5))
    if kind != "panel":
        corners, start = _SHAPES[kind]
        turns = np.radians(start + np.arange(corners) * 360 / corners)
        radius = size * (1.25 if corners == 3 else 1.0)
        outer = np.stack([np.cos(turns), np.sin(turns)], axis=1) * radius
    inner, s = (0.62, size * 0.35) if len(outer) == 3 else (0.8, size * 0.5)
    mesh.flat(outer + (x, y), rim, _SIGN)
    mesh.flat(outer * inner + (x, y), ground, _SIGN)
    symbol = pick(rng, ("bar", "arrow", "dot", "figures"))
    if symbol == "bar":
        mesh.flat(bar((x - s, y), (x + s, y), s * 0.5), ink, _SIGN)
    elif symbol == "arrow":
        mesh.flat(bar((x, y - s), (x, y + s * 0.4), s * 0.35), ink, _SIGN)
        mesh.flat([(x - s * 0.6, y + s * 0.2), (x, y + s), (x + s * 0.6, y + s * 0.2)], ink, _SIGN)
    elif symbol == "dot":
        mesh.flat(disc((x, y), s * 0.6), ink, _SIGN)
    else:
        for left in (-0.7, 0.15):
            mesh.flat(
                block(x + left * s, y - s * 0.6, x + (left + 0.55) * s, y + s * 0.6), ink, _SIGN
            )


def traffic_sign(rng: np.random.Generator) -> Mesh:
    """A post with one to three signs."""
    mesh = Mesh(ID["pole"])
    height = rng.uniform(2.3, 3.2)
    _post(mesh, height, rng.uniform(0.06, 0.1), metal(rng))
    size = rng.uniform(0.3, 0.48)
    for i in range(pick(rng, (1, 1, 2, 3))):
        _sign_face(rng, mesh, 0.0, height - size * (0.9 + 2.1 * i), size)
    return mesh


def direction_board(rng: np.random.Generator) -> Mesh:
    """A large board with places and arrows, on two legs."""
    mesh = Mesh(ID["pole"])
    wide, tall = rng.uniform(1.6, 3.4), rng.uniform(1.2, 2.1)
    lift = pick(rng, (1.0, 2.4))
    color = metal(rng)
    for x in (-wide * 0.35, wide * 0.35):
        _post(mesh, lift + tall, 0.12, color, x)
    ground, ink = signal(rng), (240, 240, 240)
    if chance(rng, 0.3):
        ground, ink = (238, 238, 234), (20, 20, 24)
    x0, x1, y0, y1 = -wide / 2, wide / 2, lift, lift + tall
    board = hoarding(rng, ground, ink)
    mesh.add([(x0, y1, 0), (x1, y1, 0), (x1, y0, 0), (x0, y0, 0)], ground, _SIGN, texture=board)
    return mesh


def _crown_face(
    mesh: Mesh, rng: np.random.Generator, color: Color, box: tuple[float, ...], cone: bool
) -> None:
    x0, y0, x1, y1 = box
    points = [(x0, y1, 0), (x1, y1, 0), (x1, y0, 0), (x0, y0, 0)]
    mesh.add(points, color, texture=crown(rng, cone))


def tree(rng: np.random.Generator, color: Color, bare: bool) -> Mesh:
    """A broad-leaved tree, a conifer, or the bare branches of winter."""
    mesh = Mesh(ID["vegetation"])
    bark = hsv(rng.uniform(0.05, 0.12), rng.uniform(0.1, 0.55), rng.uniform(0.12, 0.5))
    height, girth = rng.uniform(4.0, 11.0), rng.uniform(0.22, 0.5)
    if not bare and chance(rng, 0.2):
        mesh.flat(bar((0, 0), (0, height * 0.3), girth), bark)
        reach = height * rng.uniform(0.2, 0.32)
        _crown_face(mesh, rng, color, (-reach, 0.5, reach, height), True)
        return mesh
    fork = height * rng.uniform(0.3, 0.45)
    mesh.flat(bar((0, 0), (0, fork), girth, girth * 0.75), bark)
    mesh.flat(bar((girth * 0.25, 0), (girth * 0.2, fork), girth * 0.4), shade(bark, 0.7))
    for _ in range(14 if bare else 4):
        tip = (rng.normal(0, height * 0.16), rng.uniform(fork * 1.3, height))
        middle = (tip[0] * 0.4, fork + (tip[1] - fork) * 0.45)
        mesh.flat(bar((0, fork * 0.95), middle, girth * 0.5, girth * 0.3), bark)
        mesh.flat(bar(middle, tip, girth * 0.3, 0.03), bark)
        if bare:
            twig = (tip[0] + rng.normal(0, 0.7), tip[1] + rng.uniform(-0.2, 0.8))
            mesh.flat(bar(middle, twig, girth * 0.2, 0.02), bark)
    if not bare:
        reach = height * rng.uniform(0.26, 0.4)
        for dx, dy in ((-0.45, -0.12), (0.45, -0.1), (0.0, 0.0))[pick(rng, (0, 2)) :]:
            tint = shade(color, rng.uniform(0.85, 1.15))
            x, y = dx * reach, dy * height
            box = (x - reach, fork * 0.75 + y * 0.3, x + reach, height + y)
            _crown_face(mesh, rng, tint, box, False)
    return mesh


def bush(rng: np.random.Generator, color: Color) -> Mesh:
    """A bush, 0.7 to 2.2 m high."""
    mesh = Mesh(ID["vegetation"])
    tall = rng.uniform(0.7, 2.2)
    for x in np.arange(pick(rng, (1, 2, 3))) * tall * 0.7:
        wide = tall * rng.uniform(0.55, 0.85)
        _crown_face(
            mesh,
            rng,
            color,
            (x - wide, -0.25 * tall, x + wide, tall * rng.uniform(0.9, 1.1)),
            False,
        )
    return mesh


def wheeled_bin(rng: np.random.Generator) -> Mesh:
    """A wheeled bin or a cabinet, which Cityscapes calls static."""
    mesh = Mesh(ID["static"])
    color = any_color(rng, (0, 0.9), (0.15, 0.7))
    wide, tall = rng.uniform(0.25, 0.5), rng.uniform(0.9, 1.3)
    mesh.box((-wide, wide), (0, tall), (-0.3, 0.3), color)
    mesh.box((-wide * 1.08, wide * 1.08), (tall, tall + 0.08), (-0.34, 0.34), shade(color, 0.7))
    return mesh


def wire(points: np.ndarray) -> Mesh:
    """A wire over the street through world points `(n, 3)`; it is visible but has no label."""
    mesh = Mesh(UNSEEN)
    for start, end in zip(points[:-1], points[1:], strict=True):
        mesh.add([start, end, end - (0, 0.035, 0), start - (0, 0.035, 0)], (25, 25, 28))
        mesh.add([end, start, start - (0, 0.035, 0), end - (0, 0.035, 0)], (25, 25, 28))
    return mesh
