"""Draws faces far to near into a frame and, without antialiasing, into its labels."""

from __future__ import annotations

import cv2
import numpy as np

from asap_tf.streets.camera import NEAR, Camera
from asap_tf.streets.labels import ID, UNSEEN
from asap_tf.streets.mesh import UNCHANGED, Face, Mesh, Texture

_SHIFT = 4  # fractional bits of the points given to OpenCV
_GUARD = 6.0  # tangent of the angle to the view axis beyond which faces are cut off


class Canvas:
    """A frame, its labels and distances while they are drawn.

    Every face drawn leaves its number at its pixels. Ids and distances, which are flat or affine
    over a face, are looked up from it once all is drawn.

    Attributes:
        camera: Where the frame is taken from.
        color: uint8 `(H, W, 4)`: RGB, and how much of its own light a pixel gives.
        faces: int32 `(H, W)`, the number of the face that is seen; 0 for the sky.
    """

    def __init__(self, camera: Camera) -> None:
        self.camera = camera
        self.color = np.zeros((*camera.size, 4), np.uint8)
        self.faces = np.zeros(camera.size, np.int32)
        self._ids = [ID["sky"]]
        self._planes = [np.zeros(3)]

    def ids(self, region: tuple[slice, slice] = np.s_[:, :]) -> np.ndarray:
        """Ids in the official instance encoding, uint16 `(H, W)`, of the whole frame or a part."""
        return np.array(self._ids, np.uint16).take(self.faces[region], mode="clip")

    def nearness(self) -> np.ndarray:
        """One over the distance along the view axis, float32 `(H, W)`, 1/m; 0 for the sky."""
        x, y, c = np.ascontiguousarray(np.array(self._planes, np.float32).T)
        height, width = self.camera.size
        columns, rows = np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32)
        near = x.take(self.faces, mode="clip") * columns
        near += y.take(self.faces, mode="clip") * rows[:, None]
        near += c.take(self.faces, mode="clip")
        return np.clip(near, 0, 1 / NEAR, out=near)

    def draw(self, meshes: list[Mesh], sun: np.ndarray, ambient: float, direct: float) -> None:
        """Draws placed meshes in the order given.

        Args:
            meshes: The farthest first.
            sun: Unit vector towards the sun, world axes.
            ambient: Brightness of a face turned away from the sun.
            direct: What the sun adds to a face turned towards it.
        """
        faces = [face for mesh in meshes for face in mesh.faces]
        if not faces:
            return
        points = self.camera.to_camera(np.concatenate([mesh.points for mesh in meshes]))
        counts = np.array([face.count for face in faces])
        starts = np.concatenate([[0], counts.cumsum()[:-1]])
        following = np.arange(1, len(points) + 1)
        following[starts + counts - 1] = starts
        normals = np.add.reduceat(np.cross(points, points[following]), starts)
        normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
        offsets = (normals * points[starts]).sum(axis=1)
        brightness = ambient + direct * np.maximum(normals @ (self.camera.rotation @ sun), 0)
        # n.X = d on the face and X = z K^-1 (u, v, 1), so 1/z is affine in the pixel.
        with np.errstate(divide="ignore", invalid="ignore"):
            planes = normals @ np.linalg.inv(self.camera.intrinsics) / offsets[:, None]

        nearest = np.minimum.reduceat(points[:, 2], starts)
        clamped = np.maximum(points[:, 2], NEAR)
        bearing = np.abs(points[:, :2]).max(axis=1) / clamped
        whole = (nearest >= NEAR) & (np.maximum.reduceat(bearing, starts) < _GUARD)
        pixels = self.camera.to_pixels(np.column_stack([points[:, :2], clamped]))
        low, high = np.minimum.reduceat(pixels, starts), np.maximum.reduceat(pixels, starts)
        height, width = self.camera.size
        inside = (low < (width, height)).all(axis=1) & (high > -1).all(axis=1)
        fixed = _fixed(np.clip(pixels, -1e5, 1e5))
        for i in np.flatnonzero((offsets < -1e-4) & (inside | ~whole)):
            part = slice(starts[i], starts[i] + counts[i])
            outline = fixed[part]
            if not whole[i]:
                cut = clip(points[part])
                if len(cut) < 3:
                    continue
                outline = _fixed(self.camera.to_pixels(cut))
            self._fill(faces[i], points[part], outline, float(brightness[i]), planes[i])

    def _fill(
        self,
        face: Face,
        corners: np.ndarray,
        outline: np.ndarray,
        brightness: float,
        plane: np.ndarray,
    ) -> None:
        hidden = None
        if face.texture is not None:
            hidden = self._stretch(face, face.texture, corners, outline, brightness)
        elif face.color is not None:
            lit = brightness + (1 - brightness) * face.glow
            red, green, blue = face.color
            color = (red * lit, green * lit, blue * lit, face.glow * 255)
            cv2.fillPoly(self.color, [outline], color, cv2.LINE_AA, _SHIFT)
        if face.id == UNSEEN:
            return
        number = len(self._ids)
        self._ids.append(face.id)
        self._planes.append(plane)
        if hidden is None:
            cv2.fillPoly(self.faces, [outline], number, cv2.LINE_8, _SHIFT)
        else:
            region, mask = hidden
            self.faces[region][mask] = number

    def _stretch(
        self,
        face: Face,
        texture: Texture,
        corners: np.ndarray,
        outline: np.ndarray,
        brightness: float,
    ) -> tuple[tuple[slice, slice], np.ndarray] | None:
        """Draws a texture; returns where it hides what is behind, None for the whole outline."""
        height, width = self.camera.size
        x0, y0 = np.maximum(outline.min(axis=0) >> _SHIFT, 0)
        x1, y1 = np.minimum((outline.max(axis=0) >> _SHIFT) + 2, (width, height))
        if x1 <= x0 or y1 <= y0:
            return None
        region = (slice(y0, y1), slice(x0, x1))
        pixels, alpha = texture.pixels, texture.alpha
        # A texture much finer than the frame would alias: shrink it first, each axis on its own.
        seen = np.ptp(outline, axis=0) / (1 << _SHIFT)
        rows, columns = pixels.shape[:2]
        if columns > 2.2 * seen[0] or rows > 2.2 * seen[1]:
            columns, rows = np.clip(1.5 * seen, 2, (columns, rows)).astype(int)
            pixels = cv2.resize(pixels, (columns, rows), interpolation=cv2.INTER_AREA)
            if alpha is not None:
                alpha = cv2.resize(alpha, (columns, rows), interpolation=cv2.INTER_AREA)
        span = np.stack([corners[1] - corners[0], corners[3] - corners[0], corners[0]], axis=1)
        to_unit = np.array([[1 / columns, 0, 0.5 / columns], [0, 1 / rows, 0.5 / rows], [0, 0, 1]])
        shift = np.array([[1, 0, -x0], [0, 1, -y0], [0, 0, 1]], float)
        warp = shift @ self.camera.intrinsics @ span @ to_unit
        size = (int(x1 - x0), int(y1 - y0))
        patch = cv2.warpPerspective(pixels, warp, size, borderMode=cv2.BORDER_REPLICATE)
        if patch.ndim == 3:
            patch = cv2.multiply(patch, np.array([brightness] * 3 + [1.0]))
        else:
            gains = (part * brightness / UNCHANGED for part in face.color or (0, 0, 0))
            lit = [cv2.convertScaleAbs(patch, alpha=gain) for gain in gains]
            patch = cv2.merge([*lit, np.zeros_like(patch)])
        mask = np.zeros(size[::-1], np.uint8)
        local = outline - np.array([x0, y0], np.int32) * (1 << _SHIFT)
        cv2.fillPoly(mask, [local], 255, cv2.LINE_AA, _SHIFT)
        target = self.color[region]
        if alpha is None:
            cv2.copyTo(patch, mask, target)
            return None
        weight = np.minimum(cv2.warpPerspective(alpha, warp, size), mask)
        share = weight.astype(np.float32) / 255
        self.color[region] = cv2.blendLinear(patch, target, share, 1 - share)
        return None if texture.solid else (region, weight > 127)


def _fixed(pixels: np.ndarray) -> np.ndarray:
    """Pixel coordinates for OpenCV, with fractional bits."""
    return np.round(pixels * (1 << _SHIFT)).astype(np.int32)


_CLIPS = np.array([(0, 0, 1), (1, 0, _GUARD), (-1, 0, _GUARD), (0, 1, _GUARD), (0, -1, _GUARD)])
_LEAST = np.array([NEAR, 0, 0, 0, 0])


def clip(corners: np.ndarray) -> np.ndarray:
    """The part of a polygon, camera axes, before the near plane and not far outside the frame."""
    beyond = (corners @ _CLIPS.T < _LEAST).any(axis=0)
    for plane, least in zip(_CLIPS[beyond], _LEAST[beyond], strict=True):
        kept: list[np.ndarray] = []
        margins = corners @ plane - least
        for i, (corner, margin) in enumerate(zip(corners, margins, strict=True)):
            before, other = corners[i - 1], margins[i - 1]
            if (margin >= 0) != (other >= 0):
                kept.append(before + (corner - before) * other / (other - margin))
            if margin >= 0:
                kept.append(corner)
        corners = np.array(kept).reshape(-1, 3)
    return corners
