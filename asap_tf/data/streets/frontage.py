"""What a street's sides are built of: buildings, walls, fences, hedges, trees; and the far distance."""

from __future__ import annotations

import numpy as np

from asap_tf.data.streets.buildings import barrier, building
from asap_tf.data.streets.furniture import bush, tree
from asap_tf.data.streets.mesh import Color
from asap_tf.data.streets.paint import any_color, chance, pick, stone
from asap_tf.data.streets.plan import CURB, Path
from asap_tf.data.streets.scene import Scene

_KINDS = {
    "urban": ("building",) * 8 + ("wall", "fence", "trees"),
    "suburb": ("building",) * 4 + ("hedge", "fence", "wall", "trees"),
    "green": ("trees", "trees", "trees", "fence", "wall", "hedge", "open", "building"),
    "works": ("wall", "wall", "fence", "fence", "building", "building", "open"),
}
_HEIGHTS = {"urban": (9.0, 24.0), "suburb": (4.0, 8.0), "green": (3.5, 9.0), "works": (5.0, 12.0)}


def leaf_color(scene: Scene, rng: np.random.Generator) -> Color:
    """One of the frame's leaf colours."""
    return pick(rng, scene.look.foliage)


def build_row(
    scene: Scene,
    rng: np.random.Generator,
    path: Path,
    sign: int,
    stretch: tuple[float, float],
    line: float,
    garden: float,
    style: str,
) -> None:
    """Builds up one side of a path.

    Args:
        scene: Gets the objects.
        rng: Draws them.
        path: The street they stand along.
        sign: 1 for its right side, -1 for its left.
        stretch: From where to where along the path.
        line: Where the plots begin, metres from the path.
        garden: How far behind this line the houses stand.
        style: A key of the styles, as in `plan.Side`.
    """
    s, end = stretch
    low, high = _HEIGHTS[style]
    level = rng.uniform(low, high)
    edging = pick(rng, ("fence", "wall", "hedge", "none"))
    attached = False
    while s < end - 3:
        length = min(rng.uniform(7, 24), end - s)
        kind = pick(rng, _KINDS[style])
        height = float(np.clip(level * rng.uniform(0.75, 1.3), low, high))
        if kind == "building":
            _house(scene, rng, path, sign, (s, s + length), line + garden, height, attached)
            if garden > 1 and edging != "none" and chance(rng, 0.7):
                _barrier(scene, rng, path, sign, (s, s + length), line, edging, (0.8, 1.5))
            if garden > 1 and chance(rng, 0.4):
                _plants(scene, rng, path, sign, (s, s + length), line + garden * 0.5, 0.12, True)
        elif kind in ("wall", "fence", "hedge"):
            _barrier(scene, rng, path, sign, (s, s + length), line, kind, (1.1, 3.0))
            if chance(rng, 0.5):
                _plants(scene, rng, path, sign, (s, s + length), line + 4, 0.14, False)
            if chance(rng, 0.5):
                _house(scene, rng, path, sign, (s + 1, s + length), line + rng.uniform(7, 16), height)
        elif kind == "trees":
            _plants(scene, rng, path, sign, (s, s + length), line + 2.5, 0.25, False)
            _plants(scene, rng, path, sign, (s, s + length), line + 1.5, 0.12, True)
        gap = rng.uniform(0.5, 3.0) if chance(rng, 0.3) else 0.0
        attached = kind == "building" and gap == 0.0
        s += length + gap


def _house(
    scene: Scene,
    rng: np.random.Generator,
    path: Path,
    sign: int,
    s: tuple[float, float],
    line: float,
    height: float,
    attached: bool = False,
) -> None:
    (x0, z0), (x1, z1) = path.at(s[0], sign * line), path.at(s[1], sign * line)
    if not _seen(scene, x0, z0, x1, z1):
        return
    length = float(np.hypot(x1 - x0, z1 - z0))
    mesh = building(rng, (length, rng.uniform(8, 14), height), sign, scene.look.lit, attached)
    scene.put(mesh, float(x0), float(z0), float(np.arctan2(x1 - x0, z1 - z0)), CURB)


def _barrier(
    scene: Scene,
    rng: np.random.Generator,
    path: Path,
    sign: int,
    s: tuple[float, float],
    line: float,
    kind: str,
    heights: tuple[float, float],
) -> None:
    (x0, z0), (x1, z1) = path.at(s[0], sign * line), path.at(s[1], sign * line)
    if not _seen(scene, x0, z0, x1, z1):
        return
    length = float(np.hypot(x1 - x0, z1 - z0))
    color = {
        "wall": stone(rng, (0.25, 0.85)) if chance(rng, 0.6) else any_color(rng, (0.0, 0.6)),
        "fence": any_color(rng, (0.0, 0.6), (0.1, 0.9)),
        "hedge": leaf_color(scene, rng),
    }[kind]
    mesh = barrier(rng, kind, length, rng.uniform(*heights), color)
    scene.put(mesh, float(x0), float(z0), float(np.arctan2(x1 - x0, z1 - z0)), CURB)


def divide(scene: Scene, rng: np.random.Generator) -> None:
    """Puts a fence, wall, hedge or trees on the street's median."""
    kind = pick(rng, ("fence", "fence", "wall", "wall", "hedge", "trees", "none"))
    for start, end in scene.plan.stretches():
        if kind == "trees":
            for s in np.arange(max(start, 4.0) + rng.uniform(0, 6), end, rng.uniform(7, 14)):
                color = leaf_color(scene, rng)
                scene.along(scene.plan.path, s, 0.0, lambda c=color: tree(rng, c, scene.look.bare))
        elif kind != "none":
            for s in np.arange(start, min(end, 90.0), 10.0):
                _barrier(scene, rng, scene.plan.path, 1, (s, min(s + 10, end)), 0.0, kind, (0.8, 1.4))


def _plants(
    scene: Scene,
    rng: np.random.Generator,
    path: Path,
    sign: int,
    s: tuple[float, float],
    line: float,
    density: float,
    low: bool,
) -> None:
    for place in np.arange(s[0] + 1, s[1] - 1, 1 / density):
        at, aside = place + rng.uniform(0, 0.6 / density), line + rng.uniform(0, 3.0)
        color = leaf_color(scene, rng)
        bare = scene.look.bare and not chance(rng, 0.3)

        def plant(color: Color = color, bare: bool = bare) -> object:
            return bush(rng, color) if low else tree(rng, color, bare)

        scene.along(path, at, sign * aside, plant)


def _seen(scene: Scene, x0: float, z0: float, x1: float, z1: float) -> bool:
    reach = float(np.hypot(x1 - x0, z1 - z0)) / 2 + 15
    return scene.in_view(float(x0 + x1) / 2, float(z0 + z1) / 2, reach)


def backdrop(scene: Scene, rng: np.random.Generator) -> None:
    """Closes the view far off with buildings, trees or nothing."""
    kind = pick(rng, ("town", "woods", "mixed", "none"))
    if kind == "none":
        return
    for angle in np.arange(-0.9, 0.9, 0.085):
        far = rng.uniform(150, 210)
        x, z = far * np.sin(angle), far * np.cos(angle)
        if not scene.in_view(x, z, 20.0) or chance(rng, 0.15):
            continue
        if kind == "town" or (kind == "mixed" and chance(rng, 0.5)):
            wide = rng.uniform(9, 18)
            mesh = building(rng, (8.0, wide, rng.uniform(6, 45)), 1, scene.look.lit)
            scene.put(mesh, x, z, float(angle), CURB)
        else:
            color = leaf_color(scene, rng)
            for _ in range(2):
                mesh = bush(rng, color).resize(7.0, rng.uniform(4, 8))
                scene.face(mesh, x + rng.uniform(-8, 8), z, CURB, 1.0)
