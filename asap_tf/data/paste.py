"""Rare things of other frames, to be pasted into a training frame."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import compress

import numpy as np

from asap_tf.core.labels import IGNORE_LABEL
from asap_tf.data.dataset import Pair

SHARE = 0.5
"""Share of the frames that get something pasted; as many stay as they were."""

LEAST = 1e-3
"""Share of a frame's pixels that a class has to have for the frame to be drawn for it."""


class Paste:
    """Draws pairs that show one of some classes, each class as often as the others.

    Source: Ghiasi et al. 2021 (copy-paste) with semantic masks, at the same place of the frame as
    in Olsson et al. 2021 (ClassMix); frames are drawn by class as in Hoyer et al. 2022 (DAFormer).

    Args:
        pairs: Pairs of frame and mask.
        read: Reader of these pairs.
        labels: Labels of the classes, as the reader gives them.
        shares: Share of each pair's pixels that each of these labels has, 0..1
            `(len(pairs), len(labels))`.
    """

    def __init__(
        self,
        pairs: Sequence[Pair],
        read: Callable[[Pair], tuple[np.ndarray, np.ndarray]],
        labels: Sequence[int],
        shares: np.ndarray,
    ) -> None:
        self._read = read
        self._things = np.full(256, IGNORE_LABEL, np.uint8)
        self._things[list(labels)] = labels
        shown = [list(compress(pairs, share > LEAST)) for share in shares.T]
        self._shown = [pairs for pairs in shown if pairs]

    def __call__(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray] | None:
        """A frame, uint8 `(H, W, 3)`, and its mask, uint8 `(H, W)`, or None for nothing.

        The mask is 255 but where one of the classes is: a rider comes with the bicycle if both are
        of them.
        """
        if not self._shown or rng.random() >= SHARE:
            return None
        pairs = self._shown[rng.integers(len(self._shown))]
        image, mask = self._read(pairs[rng.integers(len(pairs))])
        return image, self._things[mask]
