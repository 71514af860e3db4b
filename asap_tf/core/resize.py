"""Frames, logits and labels at another size, by OpenCV."""

from __future__ import annotations

import cv2
import numpy as np


def resize_bilinear(
    image: np.ndarray, size: tuple[int, ...], out: np.ndarray | None = None
) -> np.ndarray:
    """A frame, or logits, at another size.

    Args:
        image: uint8 or float32 `(H, W, C)`.
        size: `(H, W)` of the result.
        out: Contiguous array `(*size, C)` that takes the result.

    Returns:
        `out`; without it `image` itself if it has that size, else a new array.
    """
    if image.shape[:2] != size:
        # OpenCV drops the axis of a single channel.
        return cv2.resize(image, size[::-1], dst=out).reshape(*size, -1)
    if out is None:
        return image
    np.copyto(out, image)
    return out


def resize_nearest(
    labels: np.ndarray, size: tuple[int, ...], out: np.ndarray | None = None
) -> np.ndarray:
    """Labels, uint8 `(H, W)`, at another size; arguments and result as of `resize_bilinear`."""
    if labels.shape != size:
        # INTER_NEAREST would shift the labels by up to half a pixel.
        return cv2.resize(labels, size[::-1], dst=out, interpolation=cv2.INTER_NEAREST_EXACT)
    if out is None:
        return labels
    np.copyto(out, labels)
    return out


def resize_frames(frames: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
    """Frames, uint8 `(N, H, W, 3)`, at another size; themselves if they have it."""
    if frames.shape[1:3] == size:
        return frames
    resized = np.empty((len(frames), *size, 3), np.uint8)
    for frame, out in zip(frames, resized, strict=True):
        resize_bilinear(frame, size, out)
    return resized
