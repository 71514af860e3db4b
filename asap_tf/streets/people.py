"""People, riders and their two-wheelers: flat figures that are placed facing the camera."""

from __future__ import annotations

import numpy as np

from asap_tf.streets.labels import UNSEEN
from asap_tf.streets.mesh import Color, Mesh, bar, block, disc, shade
from asap_tf.streets.paint import any_color, chance, hsv, pick

_BLACK: Color = (26, 26, 28)


def _skin(rng: np.random.Generator) -> Color:
    return hsv(rng.uniform(0.04, 0.08), rng.uniform(0.3, 0.55), rng.uniform(0.35, 0.95))


def _hair(rng: np.random.Generator) -> Color:
    return hsv(rng.uniform(0.03, 0.12), rng.uniform(0.1, 0.6), rng.uniform(0.08, 0.7))


def _limb(
    mesh: Mesh, joints: list[tuple[float, float]], width: float, color: Color, id: int
) -> None:
    """A bent arm or leg through the joints, thinner towards its end."""
    for i, (start, end) in enumerate(zip(joints[:-1], joints[1:], strict=True)):
        mesh.flat(bar(start, end, width * 0.85**i, width * 0.85 ** (i + 1)), color, id)
        mesh.flat(disc(end, width * 0.5 * 0.85 ** (i + 1), count=8), color, id)


def _head(
    rng: np.random.Generator, mesh: Mesh, x: float, y: float, id: int, cover: Color | None
) -> None:
    """A head centered there, with hair, or with a helmet or hat of the color `cover`."""
    skin, top = _skin(rng), cover or _hair(rng)
    mesh.flat(block(x - 0.05, y - 0.2, x + 0.05, y - 0.05), shade(skin, 0.85), id)
    mesh.flat(disc((x, y), 0.1, 0.13), skin, id)
    turned_away = chance(rng, 0.4)
    crown = disc((x, y + 0.03), 0.115, 0.125 if cover is None else 0.15, 14)
    floor = y - 0.09 if turned_away else y + 0.03
    mesh.flat(np.maximum(crown, (-np.inf, floor)), top, id)


def person(rng: np.random.Generator, id: int) -> Mesh:
    """A person standing or walking, seen from any side, with or without a bag or an umbrella."""
    mesh = Mesh(id)
    top, bottom = any_color(rng, (0, 0.95), (0.08, 0.95)), any_color(rng, (0, 0.7), (0.06, 0.7))
    half, hip, shoulder = rng.uniform(0.19, 0.25), 0.86, 1.42
    stride = rng.uniform(0.05, 0.42) * pick(rng, (0.25, 1.0))
    skirt = chance(rng, 0.2)
    leg = _skin(rng) if skirt else bottom
    for side, tone in ((-1, 0.75), (1, 1.0)):
        foot = (side * (stride * 0.5 + 0.07), 0.05)
        knee = (side * (stride * 0.25 + 0.09), 0.46)
        _limb(mesh, [(side * 0.09, hip + 0.05), knee, foot], 0.17, shade(leg, tone), id)
        mesh.flat(disc((foot[0] + 0.04, 0.045), 0.13, 0.055, 8), _BLACK, id)
    swing = stride * 0.6
    for side, tone in ((-1, 0.7), (1, 0.94)):
        elbow = (side * (half + 0.05 + swing * 0.25), 1.12)
        hand = (side * (half + swing * 0.6), 0.86)
        _limb(
            mesh, [(side * (half - 0.03), shoulder - 0.05), elbow, hand], 0.12, shade(top, tone), id
        )
        mesh.flat(disc(hand, 0.055, count=8), _skin(rng), id)
    if chance(rng, 0.25):
        mesh.flat(disc((-half * 0.9, 1.15), 0.17, 0.27), any_color(rng, (0.2, 0.9)), id)
    hem = 0.55 if chance(rng, 0.25) else hip - 0.08
    flank = [(0.8, hem), (0.78, 1.1), (1.0, shoulder - 0.04), (0.6, shoulder + 0.05)]
    right = [(half * x, y) for x, y in flank]
    mesh.flat([(-x, y) for x, y in right] + right[::-1], top, id)
    mesh.flat([(half * 0.2, hem), *right[:3], (half * 0.2, shoulder)], shade(top, 0.86), id)
    if skirt:
        low, high = half * 1.1, half * 0.75
        waist = hip + 0.12
        mesh.flat([(-low, 0.5), (-high, waist), (high, waist), (low, 0.5)], bottom, id)
    hat = any_color(rng) if chance(rng, 0.2) else None
    _head(rng, mesh, rng.uniform(-0.02, 0.03), 1.6, id, hat)
    if chance(rng, 0.2):
        mesh.flat(block(hand[0] - 0.14, 0.45, hand[0] + 0.14, 0.75), any_color(rng, (0.1, 0.9)), id)
    if chance(rng, 0.07):
        mesh.flat(bar((half, 1.1), (0.1, 2.05), 0.03), _BLACK, id)
        dome = np.maximum(disc((0.1, 1.85), 0.55, 0.32, 16), (-np.inf, 1.85))
        mesh.flat(dome, any_color(rng, (0.2, 1.0)), id)
    scale = rng.uniform(0.6, 0.8) if chance(rng, 0.12) else rng.uniform(0.92, 1.08)
    return mesh.resize(scale, scale)


def _wheel(mesh: Mesh, x: float, radius: float, thick: float, rim: Color) -> None:
    """A tire with spokes to see through; the label takes the whole disc, as Cityscapes does."""
    mesh.flat(disc((x, radius), radius, count=16), None)
    outer, inner = disc((x, radius), radius, count=16), disc((x, radius), radius - thick, count=16)
    ring = np.concatenate([outer, outer[:1], inner[:1], inner[::-1]])
    mesh.flat(ring, _BLACK, UNSEEN)
    for angle in np.arange(4) * (np.pi / 4) + 0.3:
        arm = np.array([np.cos(angle), np.sin(angle)]) * (radius - thick)
        mesh.flat(bar((x, radius) - arm, (x, radius) + arm, 0.012), rim, UNSEEN)


def bicycle_side(rng: np.random.Generator, id: int) -> Mesh:
    """A bicycle seen from its side, 1.75 m long, the front wheel at +x."""
    mesh = Mesh(id)
    frame, radius = any_color(rng, (0.1, 1.0), (0.1, 0.95)), 0.35
    for x in (-0.53, 0.53):
        _wheel(mesh, x, radius, 0.045, (170, 172, 176))
    crank, seat, head = (-0.1, 0.3), (-0.22, 0.84), (0.4, 0.84)
    for start, end in (
        ((-0.53, radius), crank), ((-0.53, radius), (-0.2, 0.78)), (crank, seat),
        (crank, head), ((-0.2, 0.76), head), ((0.53, radius), (0.38, 0.98)),
    ):  # fmt: skip
        mesh.flat(bar(start, end, 0.05), frame)
    mesh.flat(bar((-0.36, 0.9), (-0.08, 0.88), 0.08, 0.05), _BLACK)
    mesh.flat(bar((0.38, 0.98), (0.3, 1.04), 0.05), _BLACK)
    mesh.flat(disc(crank, 0.09), shade(frame, 0.5))
    if chance(rng, 0.4):
        mesh.flat(block(0.45, 0.75, 0.78, 1.0), any_color(rng, (0.1, 0.5)))
    if chance(rng, 0.4):
        mesh.flat(bar((-0.85, 0.74), (-0.3, 0.72), 0.05), shade(frame, 0.6))
    return mesh


def bicycle_end(rng: np.random.Generator, id: int) -> Mesh:
    """A bicycle seen from ahead or behind."""
    mesh = Mesh(id)
    frame = any_color(rng, (0.1, 1.0), (0.1, 0.95))
    mesh.flat(disc((0, 0.35), 0.055, 0.35, 16), _BLACK)
    mesh.flat(bar((0, 0.3), (0, 0.95), 0.06), frame)
    mesh.flat(bar((-0.3, 1.02), (0.3, 1.02), 0.045), _BLACK)
    mesh.flat(bar((-0.16, 0.28), (0.16, 0.3), 0.05), _BLACK)
    mesh.flat(disc((0, 0.88), 0.12, 0.06), _BLACK)
    mesh.flat(block(-0.06, 0.62, 0.06, 0.7), (200, 30, 25), glow=0.5)
    return mesh


def motorcycle_side(rng: np.random.Generator, id: int) -> Mesh:
    """A motorcycle or scooter seen from its side, about 2.1 m long, the front wheel at +x."""
    mesh = Mesh(id)
    body, radius = any_color(rng, (0.1, 1.0), (0.08, 0.95)), 0.31
    dark = shade(body, 0.6)
    scooter = chance(rng, 0.35)
    for x in (-0.68, 0.72):
        mesh.flat(disc((x, radius), radius, count=16), _BLACK)
        mesh.flat(disc((x, radius), radius * 0.55), (140, 142, 146))
        mesh.flat(disc((x, radius), radius * 0.2, count=8), _BLACK)
    mesh.flat(bar((0.72, radius), (0.42, 1.0), 0.09), (150, 152, 156))
    if scooter:
        tail = [(-0.95, 0.45), (-0.9, 0.78), (0.0, 0.78), (0.08, 0.3), (-0.5, 0.3)]
        mesh.flat(tail, body)
        mesh.flat(
            [(0.05, 0.22), (0.05, 0.34), (0.42, 0.36), (0.4, 0.98), (0.52, 1.0), (0.56, 0.24)], dark
        )
    else:
        mesh.flat([(-0.4, 0.3), (-0.3, 0.65), (0.35, 0.68), (0.4, 0.28)], (58, 58, 62))
        mesh.flat(disc((-0.02, 0.42), 0.2, 0.17), (130, 130, 134))
        mesh.flat([(-0.1, 0.72), (0.05, 0.98), (0.38, 0.94), (0.46, 0.7)], body)
        mesh.flat([(-0.98, 0.82), (-0.9, 0.94), (-0.4, 0.76), (-0.3, 0.6)], dark)
        mesh.flat(bar((-0.95, 0.34), (0.1, 0.26), 0.11, 0.06), (165, 166, 170))
    mesh.flat([(-0.85, 0.8), (-0.8, 0.9), (-0.1, 0.86), (-0.05, 0.76)], _BLACK)
    mesh.flat([(0.4, 0.85), (0.42, 1.2), (0.55, 1.0), (0.62, 0.8)], body)
    mesh.flat(disc((0.6, 0.88), 0.08), (240, 240, 215), glow=0.5)
    mesh.flat(bar((0.26, 1.08), (0.44, 1.0), 0.05), _BLACK)
    mesh.flat(bar((0.5, 0.66), (1.0, 0.6), 0.07), dark)
    return mesh


def motorcycle_end(rng: np.random.Generator, id: int) -> Mesh:
    """A motorcycle seen from ahead or behind."""
    mesh = Mesh(id)
    body = any_color(rng, (0.1, 1.0), (0.08, 0.95))
    mesh.flat(disc((0, 0.32), 0.11, 0.32, 16), _BLACK)
    mesh.flat(
        [(-0.2, 0.4), (-0.26, 0.75), (-0.16, 1.0), (0.16, 1.0), (0.26, 0.75), (0.2, 0.4)], body
    )
    mesh.flat(bar((-0.4, 1.04), (0.4, 1.04), 0.06), _BLACK)
    for x in (-0.42, 0.42):
        mesh.flat(disc((x, 1.16), 0.08, 0.05), (60, 60, 64))
    ahead = chance(rng, 0.5)
    mesh.flat(disc((0, 0.82), 0.11), (245, 245, 220) if ahead else (200, 25, 20), glow=0.6)
    mesh.flat(block(-0.1, 0.5, 0.1, 0.62), (225, 225, 215))
    mesh.flat(bar((0.24, 0.3), (0.24, 0.5), 0.12), (150, 150, 154))
    return mesh


def add_rider(rng: np.random.Generator, mesh: Mesh, id: int, side: bool, motor: bool) -> None:
    """Seats a rider on a two-wheeler's mesh.

    Args:
        rng: Draws clothes and posture.
        mesh: What `bicycle_side` and the like return.
        id: The rider's id.
        side: Whether the vehicle is seen from its side.
        motor: Whether it is a motorcycle.
    """
    top, legs = any_color(rng, (0, 1.0), (0.08, 0.95)), any_color(rng, (0, 0.6), (0.06, 0.7))
    cover = any_color(rng, (0, 1.0), (0.1, 1.0)) if motor or chance(rng, 0.6) else None
    if side:
        head = _sit_sideways(mesh, id, top, legs, rng.uniform(0.1, 0.35), motor)
    else:
        head = _sit_ahead(mesh, id, top, legs, 0.24 if motor else 0.19)
    _head(rng, mesh, *head, id, cover)


def _sit_sideways(
    mesh: Mesh, id: int, top: Color, legs: Color, lean: float, motor: bool
) -> tuple[float, float]:
    """A seated body seen from its side; returns where its head belongs."""
    hip, neck = (-0.29, 0.95), (-0.24 + lean, 1.5)
    foot = (0.05, 0.3) if motor else (0.02, 0.22)
    _limb(mesh, [hip, (0.08, 0.7), foot], 0.17, legs, id)
    mesh.flat(bar(foot, (foot[0] + 0.2, foot[1] - 0.02), 0.1), _BLACK, id)
    mesh.flat(bar(hip, neck, 0.3, 0.34), top, id)
    mesh.flat(disc(hip, 0.16, 0.14), shade(legs, 0.9), id)
    arm = [(neck[0] + 0.02, neck[1] - 0.1), (0.12, 1.12), (0.31, 1.08)]
    _limb(mesh, arm, 0.11, shade(top, 0.8), id)
    return neck[0] + 0.08, neck[1] + 0.17


def _sit_ahead(mesh: Mesh, id: int, top: Color, legs: Color, knees: float) -> tuple[float, float]:
    """A seated body seen from ahead or behind; returns where its head belongs."""
    for x in (-1, 1):
        leg = [(x * 0.1, 0.92), (x * knees, 0.6), (x * (knees - 0.03), 0.25)]
        arm = [(x * 0.19, 1.36), (x * 0.34, 1.18), (x * 0.3, 1.05)]
        _limb(mesh, leg, 0.16, legs, id)
        _limb(mesh, arm, 0.11, shade(top, 0.8), id)
    torso = [(-0.17, 0.86), (-0.23, 1.38), (-0.12, 1.47), (0.12, 1.47), (0.23, 1.38), (0.17, 0.86)]
    mesh.flat(torso, top, id)
    return 0.0, 1.63


TWO_WHEELERS = {
    ("bicycle", True): bicycle_side,
    ("bicycle", False): bicycle_end,
    ("motorcycle", True): motorcycle_side,
    ("motorcycle", False): motorcycle_end,
}
"""The function that makes each kind, by whether it is seen from its side."""
