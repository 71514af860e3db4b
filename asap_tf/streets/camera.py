"""A pinhole camera over a ground plane.

World axes, in meters: x to the right, y up, z ahead; the ground is y = 0. Camera axes are the same,
turned. A heading is the angle from z towards x, in radians.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

NEAR = 0.4
"""Nothing closer to the camera than this is drawn, in meters."""


@dataclass(frozen=True)
class Camera:
    """Position, direction and lens of the camera.

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
        """Camera coordinates to homogeneous pixels; a pixel's center has whole coordinates."""
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

    def upward(self, rows: slice, step: int = 1) -> np.ndarray:
        """Slope of the pixels' rays, meters up per meter along the view axis.

        Args:
            rows: Which rows of the frame.
            step: Look up every such row and column only.

        Returns:
            float32, one value for each pixel looked up.
        """
        return self._rays(rows, step)[1]

    def horizon(self) -> tuple[int, int]:
        """The first row with ground in it, and the row after the last one with sky in it."""
        height, width = self.size
        a, b, c = (self.rotation.T @ np.linalg.inv(self.intrinsics))[1]
        at_edges = np.array([-c / b, -(a * (width - 1) + c) / b])
        first, last = np.ceil([at_edges.min(), at_edges.max() + 1])
        return int(np.clip(first, 0, height)), int(np.clip(last, 0, height))

    def plane(
        self, rows: slice, elevation: float, reach: float, step: int = 1
    ) -> tuple[np.ndarray, ...]:
        """Where the pixels' rays meet a horizontal plane.

        Args:
            rows: Which rows of the frame.
            elevation: The plane's height over the ground.
            reach: Rays that meet the plane further off than this are cut there.
            step: Look up every such row and column only.

        Returns:
            World x, world z and distance along the view axis, float32.
        """
        x, y, z = self._rays(rows, step)
        slope = np.maximum(y / np.float32(elevation - self.position[1]), np.float32(1 / reach))
        east, _, north = self.position.astype(np.float32)
        return x / slope + east, z / slope + north, 1 / slope

    def _rays(self, rows: slice, step: int) -> list[np.ndarray]:
        """World x, y and z of the pixels' rays, of length 1 along the view axis."""
        to_world = (self.rotation.T @ np.linalg.inv(self.intrinsics)).astype(np.float32)
        height, width = self.size
        across = np.arange(0, width, step, dtype=np.float32)
        down = np.arange(*rows.indices(height)[:2], step, dtype=np.float32)[:, None]
        return [(m[0] * across + m[2]) + m[1] * down for m in to_world]
