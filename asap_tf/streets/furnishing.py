"""Puts lamps, lights, signs, bollards, street trees and bins where they belong."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from asap_tf.streets import furniture
from asap_tf.streets.frontage import leaf_color
from asap_tf.streets.mesh import Mesh
from asap_tf.streets.paint import chance, metal, pick
from asap_tf.streets.plan import Side
from asap_tf.streets.scene import Scene


def furnish(scene: Scene) -> None:
    """Furnishes both sides of the street and its junction."""
    rng, look = scene.rng, scene.look
    arm, spacing = pick(rng, (0.0, 1.4, 2.2)), rng.uniform(14, 32)
    masts = chance(rng, 0.25)
    bollard = metal(rng) if chance(rng, 0.3) else None
    for side in scene.plan.sides:
        lamp = partial(furniture.lamp_post, rng, -side.sign * arm, look.lit > 0.2)
        upright = partial(furniture.mast, rng) if masts else lamp
        curb = (side.walk_from if side.tracks else side.edge) + 0.45
        _line(scene, side, curb, np.arange(rng.uniform(4, 4 + spacing), 95, spacing), upright)
        for s in 4.0 + rng.exponential(18.0, int(rng.integers(0, 5))):
            large = s > 9 and chance(rng, 0.25)
            sign = furniture.direction_board if large else furniture.traffic_sign
            _line(scene, side, curb + rng.uniform(0, 0.4), np.array([s]), partial(sign, rng))
        if bollard is not None:
            post = partial(furniture.bollard, rng, bollard)
            _line(scene, side, curb, np.arange(5, 45, 1.8), post)
        if side.verge and not side.tracks and chance(rng, 0.7):
            tree = partial(furniture.tree, rng, leaf_color(scene), look.bare)
            places = np.arange(rng.uniform(6, 14), 90, rng.uniform(7, 15))
            _line(scene, side, side.edge + side.verge / 2, places, tree)
        if chance(rng, 0.35):
            place = np.array([rng.uniform(6, 30)])
            _line(scene, side, side.line - 0.5, place, partial(furniture.wheeled_bin, rng))
    if chance(rng, 0.88):
        _signals(scene)


def _line(scene: Scene, side: Side, d: float, places: np.ndarray, make: Callable[[], Mesh]) -> None:
    """Puts an object at each place along a side, except in the crossing street."""
    for s in places:
        if any(start <= s <= end for start, end in scene.plan.stretches()):
            scene.along(scene.plan.path, s, side.sign * d, make)


def _signals(scene: Scene) -> None:
    """Traffic lights at the junction, or at a crossing in mid-block."""
    rng, plan = scene.rng, scene.plan
    places = []
    if plan.junction is not None:
        middle, half = plan.junction
        places = [middle - half - 1.0] if plan.ends else [middle - half - 1.0, middle + half + 0.8]
    elif chance(rng, 0.5):
        places = [rng.uniform(6, 18)]
    for s in places:
        for side in plan.sides:
            if chance(rng, 0.2):
                continue
            arm = -side.sign * rng.uniform(0.6, 0.95) * side.edge if chance(rng, 0.45) else 0.0
            light = partial(furniture.traffic_light, rng, arm)
            scene.along(plan.path, s, side.sign * (side.edge + 0.5), light)
