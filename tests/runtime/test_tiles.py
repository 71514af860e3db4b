from __future__ import annotations

import numpy as np
import pytest

from asap_tf.runtime.tiles import tiled_logits


class Noisy:
    """Logits that depend on the whole tile, and differ from pixel to pixel."""

    def __init__(self):
        self.sizes = set()

    def logits(self, tile: np.ndarray) -> np.ndarray:
        self.sizes.add(tile.shape[:2])
        seen = tile[..., :2].astype(np.float32)
        return seen * np.float32(tile.std()) + np.arange(tile.shape[1])[:, np.newaxis]

    def logit_bands(self, frame, size):
        logits = self.logits(frame)
        for start in range(0, size[0], 24):
            yield slice(start, min(start + 24, size[0])), logits[start : start + 24]


def blended(frame: np.ndarray, tile: int, overlap: int, starts: list[list[int]]) -> np.ndarray:
    """The definition: every pixel's mean over its tiles, weighted by the distance to their edge."""
    height, width = frame.shape[:2]
    total, weights = np.zeros((height, width, 2)), np.zeros((height, width, 1))
    high, wide = (min(tile, -(-side // 32) * 32) for side in (height, width))
    for top in starts[0]:
        for left in starts[1]:
            logits = Noisy().logits(frame[top : top + high, left : left + wide])
            for y in range(top, min(top + high, height)):
                for x in range(left, min(left + wide, width)):
                    sides = (y - top, top + high - 1 - y), (x - left, left + wide - 1 - x)
                    near = [min(1, (min(side) + 1) / (overlap + 1)) for side in sides]
                    total[y, x] += near[0] * near[1] * logits[y - top, x - left]
                    weights[y, x] += near[0] * near[1]
    return total / weights


@pytest.mark.parametrize(
    ("size", "tile", "overlap", "starts"),
    [
        ((100, 130), 64, 16, [[0, 36], [0, 33, 66]]),
        ((100, 128), 64, 0, [[0, 36], [0, 64]]),
        ((70, 40), 64, 40, [[0, 6], [0]]),
        ((20, 90), 64, 8, [[0], [0, 26]]),
    ],
)
def test_tiles_are_blended_by_the_distance_to_their_edge(size, tile, overlap, starts):
    frame = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    network = Noisy()
    parts = list(tiled_logits(network, frame, tile, overlap))
    assert [rows.start for rows, _ in parts] == [0, *(rows.stop for rows, _ in parts[:-1])]
    found = np.concatenate([logits for _, logits in parts])
    np.testing.assert_allclose(found, blended(frame, tile, overlap, starts), rtol=1e-4)
    # What is no multiple of 32 the network pads itself.
    assert network.sizes == {tuple(min(tile, side) for side in size)}
