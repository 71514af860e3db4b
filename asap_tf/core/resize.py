"""Frames, logits and labels at another size, by OpenCV."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import cv2
import numpy as np

MOST_LOGITS = 64 << 20
"""Values of resized logits that are held at once: those of larger frames are resized in bands."""

_BAND = 8 << 20
"""Values of a band."""


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


def resize_frame(
    frame: np.ndarray, size: tuple[int, ...], out: np.ndarray | None = None
) -> np.ndarray:
    """A frame at another size: bilinearly, or in steps where a side is more than halved.

    Each pixel of a bilinearly resized frame is made of four at most; of a much larger frame most
    would be left out, and noise and fine detail stay. So it is brought to 2, 4, 8... times the
    size first, and then halved, by which every pixel becomes the mean of four.

    Args:
        frame: uint8 `(H, W, C)`.
        size: As of `resize_bilinear`.
        out: As of `resize_bilinear`.
    """
    halvings = [
        max(1, have // want).bit_length() - 1 for have, want in zip(frame.shape, size, strict=False)
    ]
    for step in range(max(halvings), 0, -1):
        larger = tuple(side << min(step, n) for side, n in zip(size, halvings, strict=True))
        frame = resize_bilinear(frame, larger)
    return resize_bilinear(frame, size, out)


class Band(NamedTuple):
    """Some rows of a map that is bilinearly resized, and the rows of the source between which.

    Attributes:
        rows: Of the resized map.
        source: All rows of the source that they need.
        above, below: Of each row, the two rows of the source that it lies between, counted within
            `source`.
        weight: Of each row, float32 `(rows, 1, 1)`, that of `below`; `above` has the rest.
    """

    rows: slice
    source: slice
    above: np.ndarray
    below: np.ndarray
    weight: np.ndarray


def bands(source: int, size: tuple[int, ...], channels: int, dtype: type) -> Iterator[Band]:
    """A map's rows at another size, in bands of bounded memory.

    Widened alone, a band's rows of the source are what they are in the whole map; blended by
    `weight` they are the same numbers as if the map had been resized at once.

    Args:
        source: Height of the map.
        size: `(H, W)` of the resized map.
        channels: Of the map.
        dtype: In which the library that widens calculates a row's place: float32 of TensorFlow,
            float64 of OpenCV.
    """
    height, width = size
    scale = dtype(source) / dtype(height)
    step = max(1, _BAND // (width * channels))
    for start in range(0, height, step):
        rows = slice(start, min(start + step, height))
        places = (np.arange(rows.start, rows.stop).astype(dtype) + dtype(0.5)) * scale - dtype(0.5)
        places = places.astype(np.float32)
        upper = np.floor(places)
        above, below = (np.clip(upper + i, 0, source - 1).astype(int) for i in (0, 1))
        needed = slice(int(above[0]), int(below[-1]) + 1)
        weight = (places - upper)[:, np.newaxis, np.newaxis]
        yield Band(rows, needed, above - needed.start, below - needed.start, weight)


def resized_bands(logits: np.ndarray, size: tuple[int, ...]) -> Iterator[tuple[slice, np.ndarray]]:
    """Logits, float32 `(H, W, C)`, at another size: rows, and their values `(rows, size[1], C)`.

    They are `resize_bilinear`'s numbers. For 1, 3 or 4 classes OpenCV has code of its own that
    rounds in another way: labels may differ where two logits of these are within 1e-4.
    """
    channels = logits.shape[2]
    if size[0] * size[1] * channels <= MOST_LOGITS or logits.shape[0] == size[0]:
        yield slice(0, size[0]), resize_bilinear(logits, size)
    else:
        yield from resized_parts(iter([logits]), len(logits), size)


def resized_parts(
    parts: Iterator[np.ndarray], height: int, size: tuple[int, ...]
) -> Iterator[tuple[slice, np.ndarray]]:
    """As `resized_bands`, of logits that come in parts, of which no more is held than is needed.

    Args:
        parts: Logits of some rows after the other, float32 `(rows, W, C)`.
        height: Rows of all parts.
        size: `(H, W)` of the result.
    """
    held, first = next(parts), 0
    for band in bands(height, size, held.shape[2], np.float64):
        while first + len(held) < band.source.stop:
            held = np.concatenate([held, next(parts)])
        held, first = held[band.source.start - first :], band.source.start
        rows = held[: band.source.stop - first]
        wide = resize_bilinear(rows, (len(rows), size[1]))
        yield band.rows, wide[band.above] * (1 - band.weight) + wide[band.below] * band.weight


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
        resize_frame(frame, size, out)
    return resized
