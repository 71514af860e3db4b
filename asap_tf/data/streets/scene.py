"""A scene: its objects, and which of them hides which."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from asap_tf.data.streets.camera import Camera
from asap_tf.data.streets.labels import InstanceIds
from asap_tf.data.streets.look import Look
from asap_tf.data.streets.mesh import Mesh
from asap_tf.data.streets.plan import CURB, Path, Plan


class Scene:
    """What stands on the ground, while it is being put together.

    Attributes:
        plan: The street.
        look: Its light.
        camera: Where it is seen from.
        ids: Numbers its objects.
        standing: The objects, placed.
    """

    def __init__(self, plan: Plan, look: Look, camera: Camera) -> None:
        self.plan = plan
        self.look = look
        self.camera = camera
        self.ids = InstanceIds()
        self.standing: list[Mesh] = []

    def in_view(self, x: float, z: float, margin: float, closest: float | None = None) -> bool:
        """Whether something there may show in the frame.

        Args:
            x: World x.
            z: World z.
            margin: How far it reaches around that point, in metres.
            closest: It counts only if it is that far before the camera; `-margin` if None.
        """
        across, _, ahead = self.camera.to_camera(np.array([[x, 0.0, z]]))[0]
        reach = max(ahead, 0) * 0.55 / self.camera.focal + 1.3 * margin
        return ahead > (-margin if closest is None else closest) and abs(across) < reach

    def put(self, mesh: Mesh, x: float, z: float, heading: float, y: float = 0.0) -> None:
        """Places a solid object."""
        self.standing.append(mesh.place(x, z, heading, y))

    def face(self, mesh: Mesh, x: float, z: float, y: float = CURB, radius: float = 0.25) -> None:
        """Places a flat figure, facing the camera; it stands on so many metres around its origin."""
        towards = np.arctan2(x - self.camera.position[0], z - self.camera.position[2])
        foot = (-radius, radius, -radius, radius)
        self.standing.append(mesh.place(x, z, float(towards), y, foot))

    def along(
        self, path: Path, s: float, d: float, make: Callable[[], Mesh], y: float = CURB, radius: float = 0.25
    ) -> None:
        """Makes and places a flat figure beside a path, if it may be seen there."""
        x, z = path.at(s, d)
        if self.in_view(float(x), float(z), 8.0, closest=4.5):
            self.face(make(), float(x), float(z), y, radius)

    def far_to_near(self) -> list[Mesh]:
        """The objects in painting order.

        Two footprints, being convex, are told apart by one of their edges: the one on the camera's
        side of it is nearer. Such pairs as overlap in the frame are ordered by this, whatever is
        left, by distance.
        """
        meshes = [m for m in self.standing if m.footprint is not None]
        if not meshes:
            return []
        eye = self.camera.position[[0, 2]]
        feet = np.array([m.footprint for m in meshes])
        edges = np.roll(feet, -1, axis=1) - feet
        outward = np.stack([edges[..., 1], -edges[..., 0]], axis=-1)
        reach = (outward * feet).sum(-1)
        reach_eye = outward @ eye - reach
        depth = np.einsum("aek,bck->aebc", outward, feet).min(axis=3) - reach[:, :, None]
        beyond = depth > -1e-3 * np.linalg.norm(outward, axis=-1)[:, :, None]
        # An edge of a with b beyond it: b is nearer if the camera is there too, else a is.
        b_nearer = (beyond & (reach_eye > 0)[:, :, None]).any(axis=1)
        a_nearer = (beyond & (reach_eye <= 0)[:, :, None]).any(axis=1)
        nearer = (a_nearer & ~b_nearer) | (b_nearer & ~a_nearer).T
        nearer &= ~(nearer & nearer.T)
        distance = np.linalg.norm(feet.mean(axis=1) - eye, axis=1)
        low, high = self._spans(meshes)
        nearer &= (low[:, None] < high[None]) & (low[None] < high[:, None])
        # nearer[a, b]: a hides b, so b has to be painted first.
        waiting = nearer.sum(axis=1)
        order = []
        left = np.ones(len(meshes), bool)
        for _ in meshes:
            ready = left & (waiting <= 0)
            pool = np.flatnonzero(ready if ready.any() else left)
            chosen = pool[np.argmax(distance[pool])]
            order.append(meshes[chosen])
            left[chosen] = False
            waiting -= nearer[:, chosen]
        return order

    def _spans(self, meshes: list[Mesh]) -> tuple[np.ndarray, np.ndarray]:
        """First and last bearing of each object, as tangent of the angle to the view axis."""
        counts = np.cumsum([0] + [len(m.points) for m in meshes])[:-1]
        points = self.camera.to_camera(np.concatenate([m.points for m in meshes]))
        bearing = points[:, 0] / np.maximum(points[:, 2], 0.4)
        return np.minimum.reduceat(bearing, counts), np.maximum.reduceat(bearing, counts)
