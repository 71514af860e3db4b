"""Rendering: a frame and its labels from a seed."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from asap_tf.streets.camera import Camera
from asap_tf.streets.develop import develop, paint_ground, paint_sky
from asap_tf.streets.frontage import build_backdrop, build_median, build_sides
from asap_tf.streets.furnishing import furnish
from asap_tf.streets.ground import ground
from asap_tf.streets.labels import ID
from asap_tf.streets.look import draw_look
from asap_tf.streets.paint import chance, pick
from asap_tf.streets.painter import Canvas
from asap_tf.streets.plan import Plan, draw_plan
from asap_tf.streets.scene import Scene
from asap_tf.streets.traffic import drive, overhead, park, ride, run_tram, walk

_POPULATE = (
    build_sides, build_median, build_backdrop, run_tram, drive, ride, park, walk, furnish,
)  # fmt: skip


@dataclass(frozen=True)
class Frame:
    """A rendered frame and its truth.

    Attributes:
        image: uint8 `(H, W, 3)`, RGB.
        label_ids: uint8 `(H, W)`, official Cityscapes label ids.
        instance_ids: uint16 `(H, W)`, the official encoding: label id * 1000 + number for people
            and vehicles, the label id for all else.
    """

    image: np.ndarray
    label_ids: np.ndarray
    instance_ids: np.ndarray


def render(seed: int, height: int = 512, width: int = 1024) -> Frame:
    """Renders one street.

    The seed determines everything. The same seed at another size of the same shape shows the same
    street; only the sensor's noise differs.

    Args:
        seed: Any integer from 0.
        height: Pixels.
        width: Pixels.

    Returns:
        The frame and its labels.

    Examples:
        >>> frame = render(seed=7, height=128, width=256)
        >>> frame.image.shape, int(frame.label_ids.max()) <= 33
        ((128, 256, 3), True)
    """
    # The street, its light and the sensor have random streams of their own.
    places, lights, sensor = (np.random.default_rng([seed, stream]) for stream in range(3))
    look, plan = draw_look(lights), draw_plan(places)
    camera = _camera(places, plan, (height, width))
    scene = Scene(plan, look, camera, places)
    for populate in _POPULATE:
        populate(scene)

    canvas = Canvas(camera)
    paint_sky(canvas, look, pick(lights, (0, 1, 2, 3)))
    canvas.draw([ground(places, plan, look)], look.sun, look.ambient, look.direct)
    paint_ground(canvas, look, scene.standing, pick(lights, (0, 1, 2, 3)))
    canvas.draw(scene.far_to_near() + overhead(scene), look.sun, look.ambient, look.direct)
    ids = canvas.ids()
    image = develop(canvas, look, sensor)
    _own_car(places, image, ids)
    label_ids = np.where(ids >= 1000, ids // 1000, ids).astype(np.uint8)
    return Frame(image, label_ids, ids)


def _camera(rng: np.random.Generator, plan: Plan, size: tuple[int, int]) -> Camera:
    """A camera on a car, van or bus, looking more or less along the street."""
    yaw = rng.normal(0, 0.32) if chance(rng, 0.2) else rng.normal(0, 0.07)
    return Camera.looking(
        size,
        focal=rng.uniform(0.68, 1.15),
        position=(plan.camera_offset, pick(rng, (1.25, 1.5, 2.2)) + rng.uniform(0, 0.4), 0.0),
        yaw=float(np.clip(yaw, -0.6, 0.6)),
        pitch=float(np.clip(rng.normal(0.035, 0.05), -0.1, 0.17)),
        roll=rng.normal(0, 0.012),
    )


def _own_car(rng: np.random.Generator, image: np.ndarray, ids: np.ndarray) -> None:
    """Adds, in some frames, the hood of the car with the camera, and a black border."""
    height, width = ids.shape
    if chance(rng, 0.22):
        top, tone = rng.uniform(0.88, 0.97), int(rng.uniform(10, 90))
        center = (width // 2, int(height * (top + 0.6)))
        axes = (int(width * rng.uniform(0.5, 0.62)), int(height * 0.6))
        cv2.ellipse(image, center, axes, 0, 0, 360, (tone, tone, tone + 6), -1, cv2.LINE_AA)
        mask = np.zeros(ids.shape, np.uint8)
        cv2.ellipse(mask, center, axes, 0, 0, 360, 1, -1)
        ids[mask > 0] = ID["ego vehicle"]
    if chance(rng, 0.1):
        edge = max(1, height // 128)
        for region in (np.s_[:edge], np.s_[-edge:], np.s_[:, :edge], np.s_[:, -edge:]):
            image[region] = 0
            ids[region] = ID["out of roi"]
