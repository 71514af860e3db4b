"""A scene: its objects, and their order by occlusion."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from asap_tf.streets.camera import NEAR, Camera
from asap_tf.streets.labels import InstanceIds
from asap_tf.streets.look import Look
from asap_tf.streets.mesh import Mesh
from asap_tf.streets.plan import CURB, Path, Plan


class Scene:
    """The objects on the ground, while they are being placed.

    Attributes:
        plan: The street.
        look: Its light.
        camera: Where it is seen from.
        rng: Draws everything that is put up.
        ids: Numbers the objects.
        standing: The objects, placed.
    """

    def __init__(self, plan: Plan, look: Look, camera: Camera, rng: np.random.Generator) -> None:
        self.plan = plan
        self.look = look
        self.camera = camera
        self.rng = rng
        self.ids = InstanceIds()
        self.standing: list[Mesh] = []

    def in_view(self, x: float, z: float, margin: float, closest: float | None = None) -> bool:
        """Whether an object there may be visible.

        Args:
            x: World x.
            z: World z.
            margin: How far it reaches around that point, in meters.
            closest: It counts only if it is that far before the camera; `-margin` if None.
        """
        across, _, ahead = self.camera.rotation @ (np.array([x, 0.0, z]) - self.camera.position)
        reach = max(ahead, 0.0) * 0.55 / self.camera.focal + 1.3 * margin
        return bool(ahead > (-margin if closest is None else closest) and abs(across) < reach)

    def put(self, mesh: Mesh, x: float, z: float, heading: float, y: float = 0.0) -> None:
        """Places a solid object."""
        self.standing.append(mesh.place(x, z, heading, y))

    def face(self, mesh: Mesh, x: float, z: float, y: float = CURB, radius: float = 0.25) -> None:
        """Places a flat figure, facing the camera; it stands on `radius` meters around there."""
        towards = np.arctan2(x - self.camera.position[0], z - self.camera.position[2])
        foot = (-radius, radius, -radius, radius)
        self.standing.append(mesh.place(x, z, float(towards), y, foot))

    def along(
        self,
        path: Path,
        s: float,
        d: float,
        make: Callable[[], Mesh],
        y: float = CURB,
        margin: float = 8.0,
    ) -> None:
        """Makes and places a flat figure beside a path, if it can be seen there.

        Args:
            path: The street it stands along.
            s: Meters along it.
            d: Meters to the right of it.
            make: Makes it.
            y: Height of the ground there.
            margin: How far it reaches to its sides, at most.
        """
        x, z = path.point(s, d)
        if self.in_view(x, z, margin, closest=4.5):
            self.face(make(), x, z, y)

    def far_to_near(self) -> list[Mesh]:
        """The objects in painting order.

        Two footprints, being convex, are separated by one of their edges: the one on the camera's
        side of it is nearer. Pairs that overlap in the frame are ordered by this; where it leaves a
        choice, the farther one is painted first.
        """
        feet = np.array([mesh.footprint for mesh in self.standing])
        eye = self.camera.position[[0, 2]]
        edges = np.roll(feet, -1, axis=1) - feet
        outward = np.stack([edges[..., 1], -edges[..., 0]], axis=-1)
        line = (outward * feet).sum(-1)
        # beyond[a, e, b]: all of b lies outside edge e of a.
        beyond = np.einsum("aek,bck->aebc", outward, feet).min(axis=3) - line[:, :, None]
        beyond = beyond > -1e-3 * np.linalg.norm(outward, axis=-1)[:, :, None]
        eye_too = (outward @ eye > line)[:, :, None]
        hidden_by = (beyond & eye_too).any(axis=1) | (beyond & ~eye_too).any(axis=1).T
        low, high = self._spans()
        hidden_by &= (low[:, None] < high[None]) & (low[None] < high[:, None])
        hidden_by &= ~hidden_by.T

        hiding = hidden_by.sum(axis=0)  # how many objects that it hides are still to be painted
        far_first = np.argsort(-np.linalg.norm(feet.mean(axis=1) - eye, axis=1)).tolist()
        order = []
        while far_first:
            chosen = next((i for i in far_first if hiding[i] == 0), far_first[0])
            far_first.remove(chosen)
            order.append(self.standing[chosen])
            hiding -= hidden_by[chosen]
        return order

    def _spans(self) -> tuple[np.ndarray, np.ndarray]:
        """First and last bearing of each object, as tangent of the angle to the view axis."""
        own = [mesh.points for mesh in self.standing]
        starts = np.cumsum([0] + [len(points) for points in own])[:-1]
        points = self.camera.to_camera(np.concatenate(own))
        bearing = points[:, 0] / np.maximum(points[:, 2], NEAR)
        return np.minimum.reduceat(bearing, starts), np.maximum.reduceat(bearing, starts)
