"""Rare things of other frames, to be pasted into a training frame."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from asap_tf.core.ahead import map_ahead
from asap_tf.core.labels import IGNORE_LABEL
from asap_tf.core.progress import ProgressBar
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
        pairs: Pairs of frame and mask; all are read once.
        read: Reader of these pairs.
        labels: Labels of the classes, as the reader gives them.
    """

    def __init__(
        self,
        pairs: Sequence[Pair],
        read: Callable[[Pair], tuple[np.ndarray, np.ndarray]],
        labels: Sequence[int],
    ) -> None:
        self._read = read
        self._things = np.full(256, IGNORE_LABEL, np.uint8)
        self._things[list(labels)] = labels
        shown: dict[int, list[Pair]] = {}
        with map_ahead(lambda pair: (pair, read(pair)[1]), pairs, threads=4) as masks:
            for pair, mask in ProgressBar(masks, "rare classes", len(pairs), unit=" frames"):
                pixels = np.bincount(mask.ravel(), minlength=256)
                for label in labels:
                    if pixels[label] > LEAST * mask.size:
                        shown.setdefault(label, []).append(pair)
        self._shown = list(shown.values())

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
