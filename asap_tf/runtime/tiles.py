"""Large frames in tiles, at their own size, in memory that does not grow with their height."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from asap_tf.core.sizes import padded
from asap_tf.runtime.network import Network

_ROWS = 256
"""Rows of blended logits that are handed on at once."""


def tiled_logits(
    network: Network, frame: np.ndarray, tile: int, overlap: int
) -> Iterator[tuple[slice, np.ndarray]]:
    """Logits of a frame, tile by tile, blended linearly where tiles overlap.

    Attention between the columns of a frame sees the columns of one tile only.

    Args:
        network: Network that takes frames of any size.
        frame: RGB, uint8 `(H, W, 3)`.
        tile: Side of a tile in pixels, a multiple of 32; a frame's shorter side may make it less.
        overlap: Pixels that neighbors share at least, less than `tile`.

    Yields:
        Rows, in order, and their logits, float32 `(rows, W, classes)`.
    """
    height, width = frame.shape[:2]
    high, wide = (min(tile, side) for side in padded((height, width)))
    tops, lefts = _starts(height, high, overlap), _starts(width, wide, overlap)
    weights = _ramp(high, overlap)[:, np.newaxis] * _ramp(wide, overlap)
    # Of the rows from the current tiles' top on: what has been blended, and by what weights.
    share = np.zeros((high, width, 1), np.float32)
    total: np.ndarray | None = None
    for top, following in zip(tops, [*tops[1:], height], strict=True):
        for left in lefts:
            part = frame[top : top + high, left : left + wide]
            rows, columns = part.shape[:2]
            place = slice(left, left + columns)
            share[:rows, place, 0] += weights[:rows, :columns]
            for band, logits in network.logit_bands(part, (rows, columns)):
                if total is None:
                    total = np.zeros((high, width, logits.shape[-1]), np.float32)
                total[band, place] += logits * weights[band, :columns, np.newaxis]
        assert total is not None
        for start in range(top, following, _ROWS):
            stop = min(start + _ROWS, following)
            done = slice(start - top, stop - top)
            yield slice(start, stop), total[done] / share[done]
        done_rows = min(following - top, high)
        for array in (total, share):
            array[: high - done_rows] = array[done_rows:].copy()
            array[high - done_rows :] = 0


def _starts(length: int, tile: int, overlap: int) -> list[int]:
    """First pixels of evenly spread tiles that cover a side."""
    count = 1 if length <= tile else 1 + -(-(length - tile) // (tile - overlap))
    return [round(i * (length - tile) / max(1, count - 1)) for i in range(count)]


def _ramp(tile: int, overlap: int) -> np.ndarray:
    """Weights along a side, float32 `(tile,)`: 1, falling to the ends within `overlap`."""
    inward = np.minimum(np.arange(tile), np.arange(tile)[::-1]) + 1
    return np.minimum(inward / (overlap + 1), 1).astype(np.float32)
