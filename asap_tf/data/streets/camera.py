"""A pinhole camera over a ground plane.

World axes, in metres: x to the right, y up, z ahead; the ground is y = 0. Camera axes are the same,
turned. A heading is the angle from z towards x, in radians.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

NEAR = 0.4
"""Nothing closer to the camera than this is drawn, in metres."""


@dataclass(frozen=True)
class Camera:
    """Where the frame is taken from.

    Attributes:
        size: Height and width of the frame in pixels.
        focal: Focal length as a share of the frame's width, so that a scene looks the same at
            every size.
        position: float64 `(3,)`, world coordinates.
        rotation: float64 `(3, 3)`, from world to camera axes.
    """

    size: tuple[int, int]
    focal: float
    position: np.ndarray
    rotation: np.ndarray

    @classmethod
    def looking(
        cls,
        size: tuple[int, int],
        focal: float,
        position: tuple[float, float, float],
        yaw: float = 0.0,
        pitch: float = 0.0,
        roll: float = 0.0,
    ) -> Camera:
        """A camera turned to the right by `yaw`, down by `pitch` and clockwise by `roll`."""
        sin, cos = np.sin([yaw, pitch, roll]), np.cos([yaw, pitch, roll])
        turn = np.array([[cos[0], 0, -sin[0]], [0, 1, 0], [sin[0], 0, cos[0]]])
        tilt = np.array([[1, 0, 0], [0, cos[1], sin[1]], [0, -sin[1], cos[1]]])
        lean = np.array([[cos[2], sin[2], 0], [-sin[2], cos[2], 0], [0, 0, 1]])
        return cls(size, focal, np.array(position, float), lean @ tilt @ turn)

    @property
    def intrinsics(self) -> np.ndarray:
        """Camera coordinates to homogeneous pixels; a pixel's centre has whole coordinates."""
        height, width = self.size
        scale = self.focal * width
        return np.array(
            [[scale, 0, (width - 1) / 2], [0, -scale, (height - 1) / 2], [0, 0, 1]], float
        )

    def to_camera(self, points: np.ndarray) -> np.ndarray:
        """World points `(n, 3)` in camera coordinates."""
        return (points - self.position) @ self.rotation.T

    def to_pixels(self, points: np.ndarray) -> np.ndarray:
        """Camera points `(n, 3)` with z > 0 as pixels `(n, 2)`, x then y."""
        homogeneous = points @ self.intrinsics.T
        return homogeneous[:, :2] / homogeneous[:, 2:]

    def upward(self) -> np.ndarray:
        """Slope of each pixel's ray, float32 `(H, W)`: metres up per metre along the view axis."""
        a, b, c = self.rotation[:, 1] @ np.linalg.inv(self.intrinsics)
        height, width = self.size
        columns, rows = np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32)
        return (a * columns + c).astype(np.float32) + (b * rows).astype(np.float32)[:, None]

    def horizon_row(self) -> int:
        """The first row with ground in it; the frame's height if none has."""
        rows = np.flatnonzero(self.upward()[:, [0, -1]].min(axis=1) < 0)
        return int(rows[0]) if rows.size else self.size[0]

    def plane(self, first_row: int, elevation: float, reach: float) -> tuple[np.ndarray, ...]:
        """Where the pixels' rays meet a horizontal plane.

        Args:
            first_row: The rows from here down are looked up.
            elevation: The plane's height over the ground; above the camera for clouds.
            reach: Rays that meet the plane further off than this are cut there.

        Returns:
            World x, world z and distance along the view axis, each float32 `(H - first_row, W)`.
        """
        to_world = (self.rotation.T @ np.linalg.inv(self.intrinsics)).astype(np.float32)
        height, width = self.size
        columns = np.arange(width, dtype=np.float32)
        rows = np.arange(first_row, height, dtype=np.float32)[:, None]
        x, y, z = ((m[0] * columns + m[2]) + m[1] * rows for m in to_world)
        lift = np.float32(elevation - self.position[1])
        slope = np.maximum(y / lift, np.float32(1 / reach))
        return x / slope + np.float32(self.position[0]), z / slope, 1 / slope
