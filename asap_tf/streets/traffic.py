"""Traffic: vehicles, riders and people."""

from __future__ import annotations

from typing import Literal

import numpy as np

from asap_tf.streets import furniture, people, vehicles
from asap_tf.streets.mesh import Mesh
from asap_tf.streets.paint import chance, pick
from asap_tf.streets.plan import CURB, REACH, Lane, Path
from asap_tf.streets.scene import Scene

TwoWheeled = Literal["bicycle", "motorcycle"]
Kind = Literal["car", "truck", "bus"] | TwoWheeled

_LENGTH = {"car": 5.2, "truck": 11.0, "bus": 13.0, "bicycle": 2.4, "motorcycle": 2.8}
_MAKE = {"car": vehicles.car, "truck": vehicles.truck, "bus": vehicles.bus}
_CAR: Kind = "car"
_RATE: dict[Kind, float] = {
    "car": 0.8,
    "truck": 0.55,
    "bus": 0.45,
    "bicycle": 0.55,
    "motorcycle": 0.6,
}
"""Probability by kind that a frame reserves a place next to the camera for it."""


def drive(scene: Scene) -> None:
    """Fills the lanes, the crossing street's too."""
    rng, plan = scene.rng, scene.plan
    reserved = [kind for kind, rate in _RATE.items() if chance(rng, rate)]
    reserved = [reserved[i] for i in rng.permutation(len(reserved))]
    gap = 12.0 / rng.uniform(0.25, 1.0)
    end = min(plan.junction[0] if plan.ends and plan.junction else REACH, 85.0)
    for i in rng.permutation(len(plan.lanes)):
        lane = plan.lanes[i]
        if lane.offset != plan.tram or chance(rng, 0.4):
            _fill(scene, plan.path, lane, end, reserved, gap)
    if plan.junction is not None:
        for lane in (Lane(1.8, 1, -16.0), Lane(-1.8, -1, -16.0)):
            if chance(rng, 0.6):
                _fill(scene, plan.cross(), lane, 18.0, reserved, gap * 1.6)


def _fill(
    scene: Scene, path: Path, lane: Lane, end: float, reserved: list[Kind], gap: float
) -> None:
    """Puts vehicles into one lane, those reserved first."""
    rng, parked = scene.rng, lane.direction == 0
    common = [*_RATE] + [_CAR] * (30 if parked else 18)
    s = lane.start + rng.exponential(3.0 if parked else 6.0)
    while s < end:
        kind: Kind = reserved.pop() if reserved and chance(rng, 0.75) else pick(rng, common)
        if parked and kind == "bus":
            reserved.append(kind)
            kind = "car"
        _vehicle(scene, kind, path, s + _LENGTH[kind] / 2, lane)
        s += _LENGTH[kind] + (1.0 + rng.exponential(3.0) if parked else 3.0 + rng.exponential(gap))


def _vehicle(scene: Scene, kind: Kind, path: Path, s: float, lane: Lane) -> None:
    rng = scene.rng
    x, z = path.point(s, lane.offset + rng.normal(0, 0.15))
    heading = path.direction(s) + rng.normal(0, 0.03)
    if lane.direction < 0 or (lane.direction == 0 and chance(rng, 0.3)):
        heading += np.pi
    if kind == "bicycle" or kind == "motorcycle":
        _two_wheeler(scene, kind, x, z, heading, ridden=lane.direction != 0)
    elif scene.in_view(x, z, _LENGTH[kind]):
        lit = scene.look.lit > 0.1 and lane.direction != 0
        for mesh in _MAKE[kind](rng, scene.ids.new(kind), lit):
            scene.put(mesh, x, z, heading)


def _two_wheeler(
    scene: Scene,
    kind: TwoWheeled,
    x: float,
    z: float,
    heading: float,
    ridden: bool,
    y: float = 0.0,
) -> None:
    """Places a bicycle or motorcycle, seen from its side or from its end."""
    if not scene.in_view(x, z, 2.0, closest=4.0):
        return
    eye = scene.camera.position
    aside = float(np.sin(heading - np.arctan2(x - eye[0], z - eye[2])))
    from_side = abs(aside) > 0.42
    make = people.TWO_WHEELERS[kind, from_side]
    mesh = make(scene.rng, scene.ids.new(kind))
    if ridden:
        rider = scene.ids.new("rider")
        people.add_rider(scene.rng, mesh, rider, from_side, kind == "motorcycle")
    if from_side:
        mesh.resize(max(abs(aside), 0.6), 1.0)
        if aside < 0:
            mesh.mirror()
    scene.face(mesh, x, z, y, 0.4)


def ride(scene: Scene) -> None:
    """Riders who keep to the edge of the road, or cross it."""
    rng, path = scene.rng, scene.plan.path
    for _ in range(pick(rng, (0, 1, 1, 2, 3))):
        s, side = 5.0 + rng.exponential(8.0), pick(rng, scene.plan.sides)
        d, turn = side.sign * (side.edge - rng.uniform(0.4, 1.0)), pick(rng, (0.0, 0.0, np.pi))
        if chance(rng, 0.3):
            d, turn = rng.uniform(-5, 5), pick(rng, (-1, 1)) * rng.uniform(0.7, 1.9)
        kind: TwoWheeled = pick(rng, ("bicycle", "motorcycle"))
        _two_wheeler(scene, kind, *path.point(s, d), path.direction(s) + turn, ridden=True)


def park(scene: Scene) -> None:
    """Rows of two-wheelers at the edges of the sidewalks."""
    rng = scene.rng
    kinds: tuple[TwoWheeled, ...] = ("bicycle", "motorcycle")
    for kind in kinds:
        if chance(rng, 0.53):
            continue
        side, turned = pick(rng, scene.plan.sides), rng.uniform(0, np.pi)
        s, d = rng.uniform(5, 18), side.sign * (side.walk_from + rng.uniform(0.3, 1.2))
        for i in range(int(rng.integers(1, 6))):
            x, z = scene.plan.path.point(s + 1.1 * i, d)
            _two_wheeler(scene, kind, x, z, turned + rng.normal(0, 0.1), ridden=False, y=CURB)


def run_tram(scene: Scene) -> None:
    """Puts a train on the rails."""
    rng, plan = scene.rng, scene.plan
    if plan.tram is None:
        return
    s, y = rng.uniform(8.0, 24.0), CURB if plan.tram_raised else 0.0
    cars = vehicles.tram(rng, scene.ids.new("train"), pick(rng, (1, 2, 3)), scene.look.lit > 0.1)
    for i, mesh in enumerate(cars):
        (x0, z0), (x1, z1) = (plan.path.point(s + 11.4 * i + t, plan.tram) for t in (0.0, 11.0))
        scene.put(mesh, (x0 + x1) / 2, (z0 + z1) / 2, float(np.arctan2(x1 - x0, z1 - z0)), y)


def overhead(scene: Scene) -> list[Mesh]:
    """The tram's contact wire."""
    if scene.plan.tram is None:
        return []
    x, z = scene.plan.path.at(np.arange(1.0, 90.0, 8.0), scene.plan.tram)
    return [furniture.wire(np.stack([x, np.full(len(x), 5.5), z], axis=1))]


def walk(scene: Scene) -> None:
    """People on the sidewalks and crossing the road, alone and in groups."""
    rng, plan = scene.rng, scene.plan
    for _ in range(int(rng.integers(1, 9))):
        side, s = pick(rng, plan.sides), 5.0 + rng.exponential(16.0)
        d = side.sign * rng.uniform(side.walk_from + 0.4, max(side.line, side.walk_from + 1.5))
        for _ in range(pick(rng, (1, 1, 2, 3))):
            _person(scene, s + rng.normal(0, 0.7), d + rng.normal(0, 0.5), CURB)
    if chance(rng, 0.5):
        crossing = plan.junction[0] - plan.junction[1] - 2 if plan.junction else rng.uniform(7, 30)
        left, right = (side.sign * side.edge for side in plan.sides)
        for _ in range(int(rng.integers(1, 5))):
            _person(scene, crossing + rng.normal(0, 0.8), rng.uniform(left, right), 0.0)


def _person(scene: Scene, s: float, d: float, y: float) -> None:
    def make() -> Mesh:
        mesh = people.person(scene.rng, scene.ids.new("person"))
        return mesh.mirror() if chance(scene.rng, 0.5) else mesh

    scene.along(scene.plan.path, s, d, make, y, margin=1.5)
