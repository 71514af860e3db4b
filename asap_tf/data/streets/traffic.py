"""Who and what uses the street: vehicles, riders, people, and the furniture along it."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from asap_tf.data.streets import furniture, people, vehicles
from asap_tf.data.streets.frontage import leaf_color
from asap_tf.data.streets.labels import ID
from asap_tf.data.streets.mesh import Mesh
from asap_tf.data.streets.paint import any_color, chance, pick
from asap_tf.data.streets.plan import CURB, REACH, Lane, Path
from asap_tf.data.streets.scene import Scene

_LENGTH = {"car": 5.2, "truck": 11.0, "bus": 13.0, "bicycle": 2.4, "motorcycle": 2.8}
_TWO_WHEELED = ("bicycle", "motorcycle")


def _wanted(rng: np.random.Generator) -> list[str]:
    """The kinds that get the places nearest to the camera."""
    rates = {"truck": 0.55, "bus": 0.5, "bicycle": 0.55, "motorcycle": 0.6, "car": 0.8}
    kinds = [kind for kind, rate in rates.items() if chance(rng, rate)]
    return [kinds[i] for i in rng.permutation(len(kinds))]


def drive(scene: Scene, rng: np.random.Generator) -> None:
    """Fills the lanes, the crossing street's too."""
    wanted = _wanted(rng)
    density = rng.uniform(0.25, 1.0)
    plan = scene.plan
    end = min(plan.junction[0] if plan.ends and plan.junction else REACH, 85.0)
    lanes = list(plan.lanes)
    for i in rng.permutation(len(lanes)):
        lane = lanes[int(i)]
        if lane.offset == plan.tram and chance(rng, 0.6):
            continue
        _fill_lane(scene, rng, plan.path, lane, end, wanted, density)
    if plan.junction is not None:
        cross = plan.cross()
        for offset, direction in ((1.8, 1), (-1.8, -1)):
            if chance(rng, 0.6):
                lane = Lane(offset, direction, -16.0)
                _fill_lane(scene, rng, cross, lane, 18.0, wanted, density * 0.6)


def _fill_lane(
    scene: Scene,
    rng: np.random.Generator,
    path: Path,
    lane: Lane,
    end: float,
    wanted: list[str],
    density: float,
) -> None:
    s = lane.start + rng.exponential(6.0 if lane.direction else 3.0)
    common = ("car",) * (18 if lane.direction else 30) + ("truck", "bus", "bicycle", "motorcycle")
    while s < end:
        kind = wanted.pop() if wanted and chance(rng, 0.75) else pick(rng, common)
        if lane.direction == 0 and kind == "bus":
            wanted.append(kind)
            kind = "car"
        length = _LENGTH[kind]
        if s + length > end + 6:
            return
        _vehicle(scene, rng, kind, path, s + length / 2, lane)
        gap = 1.0 + rng.exponential(3.0) if lane.direction == 0 else 3.0 + rng.exponential(12.0 / density)
        s += length + gap


def ride(scene: Scene, rng: np.random.Generator) -> None:
    """Riders who keep to the edge of the road, or cross it."""
    plan = scene.plan
    for _ in range(pick(rng, (0, 1, 1, 2, 3))):
        side, s = pick(rng, plan.sides), 5.0 + rng.exponential(8.0)
        x, z = (float(v) for v in plan.path.at(s, side.sign * (side.edge - rng.uniform(0.4, 1.0))))
        heading = plan.path.direction(s) + (0.0 if chance(rng, 0.7) else np.pi)
        if chance(rng, 0.3):
            x, z = (float(v) for v in plan.path.at(s, rng.uniform(-5, 5)))
            heading = plan.path.direction(s) + pick(rng, (-1, 1)) * rng.uniform(0.7, 1.9)
        if scene.in_view(x, z, 2.0, closest=4.0):
            _two_wheeler(scene, rng, pick(rng, _TWO_WHEELED), x, z, heading, True, 0.0)


def _vehicle(
    scene: Scene, rng: np.random.Generator, kind: str, path: Path, s: float, lane: Lane
) -> None:
    offset = lane.offset + rng.normal(0, 0.15)
    x, z = (float(v) for v in path.at(s, offset))
    if not scene.in_view(x, z, _LENGTH[kind], 4.0 if kind in _TWO_WHEELED else None):
        return
    heading = path.direction(s) + rng.normal(0, 0.03)
    if lane.direction < 0 or (lane.direction == 0 and chance(rng, 0.3)):
        heading += np.pi
    if kind in _TWO_WHEELED:
        _two_wheeler(scene, rng, kind, x, z, heading, lane.direction != 0, 0.0)
        return
    make = {"car": vehicles.car, "truck": vehicles.truck, "bus": vehicles.bus}[kind]
    lit = scene.look.lit > 0.1 and lane.direction != 0
    for mesh in make(rng, scene.ids.new(kind), lit):
        scene.put(mesh, x, z, heading)


def _two_wheeler(
    scene: Scene,
    rng: np.random.Generator,
    kind: str,
    x: float,
    z: float,
    heading: float,
    ridden: bool,
    y: float,
) -> None:
    eye = scene.camera.position
    aside = np.sin(heading - np.arctan2(x - eye[0], z - eye[2]))
    side = abs(aside) > 0.42
    make = getattr(people, f"{kind}_{'side' if side else 'end'}")
    mesh = make(rng, scene.ids.new(kind))
    if ridden:
        people.add_rider(rng, mesh, scene.ids.new("rider"), side, kind == "motorcycle")
    if side:
        mesh.resize(max(abs(aside), 0.6), 1.0)
        if aside < 0:
            mesh.mirror()
    scene.face(mesh, x, z, y, 0.4)


def run_tram(scene: Scene, rng: np.random.Generator) -> None:
    """Puts a train on the rails, if there are any."""
    plan = scene.plan
    if plan.tram is None:
        return
    base = CURB if any(side.tracks for side in plan.sides) else 0.0
    cars = pick(rng, (1, 2, 3))
    s = rng.uniform(8.0, 24.0)
    id, lit = scene.ids.new("train"), scene.look.lit > 0.1
    for i, mesh in enumerate(vehicles.tram(rng, id, cars, lit)):
        (x0, z0), (x1, z1) = (plan.path.at(s + 11.4 * i + t, plan.tram) for t in (0.0, 11.0))
        x, z = float(x0 + x1) / 2, float(z0 + z1) / 2
        scene.put(mesh, x, z, float(np.arctan2(x1 - x0, z1 - z0)), base)


def overhead(scene: Scene) -> list[Mesh]:
    """The tram's contact wire."""
    plan = scene.plan
    if plan.tram is None:
        return []
    x, z = plan.path.at(np.arange(1.0, 90.0, 8.0), plan.tram)
    return [furniture.wire(np.stack([x, np.full(len(x), 5.5), z], axis=1))]


def walk(scene: Scene, rng: np.random.Generator) -> None:
    """People on the sidewalks and crossing, alone and in groups; parked two-wheelers."""
    plan = scene.plan
    for _ in range(int(rng.integers(1, 9))):
        side = pick(rng, plan.sides)
        s = 5.0 + rng.exponential(16.0)
        d = side.sign * rng.uniform(side.walk_from + 0.4, max(side.line, side.walk_from + 1.5))
        for _ in range(pick(rng, (1, 1, 2, 3))):
            _person(scene, rng, plan.path, s + rng.normal(0, 0.7), d + rng.normal(0, 0.5), CURB)
    crossing = plan.junction[0] - plan.junction[1] - 2 if plan.junction else rng.uniform(7, 30)
    if chance(rng, 0.5):
        left, right = (side.sign * side.edge for side in plan.sides)
        for _ in range(int(rng.integers(1, 5))):
            _person(scene, rng, plan.path, crossing + rng.normal(0, 0.8), rng.uniform(left, right), 0.0)
    for kind, rate in (("bicycle", 0.5), ("motorcycle", 0.45)):
        if chance(rng, rate):
            _parked(scene, rng, kind)


def _person(
    scene: Scene, rng: np.random.Generator, path: Path, s: float, d: float, y: float
) -> None:
    mirrored = chance(rng, 0.5)

    def make() -> Mesh:
        mesh = people.person(rng, scene.ids.new("person"))
        return mesh.mirror() if mirrored else mesh

    if s > 3.0:
        scene.along(path, s, d, make, y)


def _parked(scene: Scene, rng: np.random.Generator, kind: str) -> None:
    """A row of two-wheelers at the edge of a sidewalk."""
    side = pick(rng, scene.plan.sides)
    s, d = rng.uniform(5, 18), side.sign * (side.walk_from + rng.uniform(0.3, 1.2))
    turned = rng.uniform(0, np.pi)
    for i in range(int(rng.integers(1, 6))):
        x, z = (float(v) for v in scene.plan.path.at(s + 1.1 * i, d))
        if scene.in_view(x, z, 2.0, closest=4.0):
            _two_wheeler(scene, rng, kind, x, z, turned + rng.normal(0, 0.1), False, CURB)


def furnish(scene: Scene, rng: np.random.Generator) -> None:
    """Lamps, lights, signs, bollards, street trees and bins."""
    plan, look = scene.plan, scene.look
    lamp_arm, spacing = pick(rng, (0.0, 1.4, 2.2)), rng.uniform(14, 32)
    bollard = any_color(rng, (0, 0.5), (0.1, 0.7)) if chance(rng, 0.3) else None
    masts = chance(rng, 0.25)
    for side in plan.sides:
        edge = side.sign * (side.walk_from + 0.45 if side.tracks else side.edge + 0.45)
        inward = -side.sign
        for s in np.arange(rng.uniform(4, 4 + spacing), 95.0, spacing):
            if _open_ground(plan.stretches(), s):
                lamp = lambda: furniture.mast(rng) if masts else furniture.lamp_post(rng, inward * lamp_arm, look.lit > 0.2)  # noqa: E731
                scene.along(plan.path, s, edge, lamp)
        for s in 4.0 + rng.exponential(18.0, int(rng.integers(0, 5))):
            if _open_ground(plan.stretches(), s):
                make = furniture.direction_board if chance(rng, 0.2) else furniture.traffic_sign
                scene.along(plan.path, s, edge + side.sign * rng.uniform(0, 0.4), lambda m=make: m(rng))
        if bollard is not None:
            for s in np.arange(5.0, 45.0, 1.8):
                if _open_ground(plan.stretches(), s):
                    scene.along(plan.path, s, edge, lambda: furniture.bollard(rng, bollard), radius=0.1)
        if side.verge and not side.tracks and chance(rng, 0.7):
            middle = side.sign * (side.edge + side.verge / 2)
            for s in np.arange(rng.uniform(6, 14), 90.0, rng.uniform(7, 15)):
                color = leaf_color(scene, rng)
                if _open_ground(plan.stretches(), s):
                    scene.along(plan.path, s, middle, lambda c=color: furniture.tree(rng, c, look.bare))
        if chance(rng, 0.35):
            scene.along(plan.path, rng.uniform(6, 30), side.sign * (side.line - 0.5), lambda: furniture.bin(rng))
    _signals(scene, rng)


def _open_ground(stretches: list[tuple[float, float]], s: float) -> bool:
    return any(start <= s <= end for start, end in stretches)


def _places(scene: Scene, rng: np.random.Generator) -> Iterator[float]:
    junction = scene.plan.junction
    if junction is not None:
        yield junction[0] - junction[1] - 1.0
        if not scene.plan.ends:
            yield junction[0] + junction[1] + 0.8
    elif chance(rng, 0.5):
        yield rng.uniform(6, 18)


def _signals(scene: Scene, rng: np.random.Generator) -> None:
    if chance(rng, 0.12):
        return
    for s in _places(scene, rng):
        for side in scene.plan.sides:
            if chance(rng, 0.8):
                reach = -side.sign * rng.uniform(0.6, 0.95) * side.edge if chance(rng, 0.45) else 0.0
                edge = side.sign * (side.edge + 0.5)
                scene.along(scene.plan.path, s, edge, lambda r=reach: furniture.traffic_light(rng, r))
