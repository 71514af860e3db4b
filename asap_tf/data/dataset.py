"""What a dataset is: classes with colors, and pairs of frame and mask per split."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, Protocol, TypeVar

import numpy as np

from asap_tf.core.errors import UsageError, nearest
from asap_tf.core.labels import LabelClass, palette

Item = TypeVar("Item")


@dataclass(frozen=True)
class Pair:
    """A frame and its mask; `mask` is None where the truth is not public (test splits)."""

    image: Path
    mask: Path | None


class MaskEncoding(Protocol):
    """How the pixels of a mask file stand for train ids."""

    @property
    def mode(self) -> Literal["L", "RGB"]:
        """What `decode` takes: `"L"`, uint8 `(H, W)` values, or `"RGB"`, uint8 `(H, W, 3)`."""
        ...

    def decode(self, raw: np.ndarray) -> np.ndarray:
        """Train ids, uint8 `(H, W)`, 255 where ignored, of a mask file's pixels.

        Raises:
            ValueError: if a pixel has a value outside the table; the message names the values.
        """
        ...


@dataclass(frozen=True)
class Dataset:
    """A dataset on disk; nothing is read but the names of its files.

    Attributes:
        kind: `"cityscapes"`, `"camvid"`, `"bdd100k"` or `"folder"`.
        root: The folder that was opened.
        classes: In the order of their train ids.
        encoding: Turns the pixels of a mask file into train ids.
        splits: Pairs by split name, sorted by file name.
        unpaired: Frames without a mask and masks without a frame, in no split.
    """

    kind: str
    root: Path
    classes: tuple[LabelClass, ...]
    encoding: MaskEncoding
    splits: Mapping[str, tuple[Pair, ...]] = field(repr=False)
    unpaired: tuple[Path, ...] = field(default=(), repr=False)

    @property
    def palette(self) -> np.ndarray:
        """Colors by train id, uint8 `(num_classes, 3)`, RGB."""
        return palette(self.classes)

    def pairs(self, split: str) -> tuple[Pair, ...]:
        """The pairs of one split.

        Raises:
            UsageError: if there is no such split, or it is empty.
        """
        if split not in self.splits:
            raise UsageError(f"{self.root} has no split '{split}'; {nearest(split, self.splits)}")
        if not self.splits[split]:
            raise UsageError(f"{self.root}: split '{split}' holds no frames")
        return self.splits[split]

    def thinned(self, split: str, count: int) -> Dataset:
        """The dataset with at most `count` pairs of a split, evenly spread from first to last.

        Raises:
            UsageError: if there is no such split, or `count` is not positive.
        """
        if count < 1:
            raise UsageError(f"`frames` {count}: at least 1 is needed")
        return replace(self, splits={**self.splits, split: spread(self.pairs(split), count)})

    def holdout(self, prefix: str, train: str, val: str) -> Dataset:
        """The dataset with a sequence kept from training, to score on.

        Args:
            prefix: How the names of its frames begin.
            train: Split that loses the sequence.
            val: Split that holds the sequence alone, its frames of both splits; may be missing.

        Raises:
            UsageError: if no frame of `train` begins so, or all do.
        """

        def is_held(pair: Pair) -> bool:
            return pair.image.name.startswith(prefix)

        held = tuple(filter(is_held, (*self.pairs(train), *self.splits.get(val, ()))))
        kept = tuple(pair for pair in self.pairs(train) if not is_held(pair))
        if not kept or len(kept) == len(self.pairs(train)):
            raise UsageError(
                f"holdout={prefix!r}: {'no' if kept else 'every'} name of a frame of split "
                f"'{train}' in {self.root} begins so; give how some of them begin"
            )
        return replace(self, splits={**self.splits, train: kept, val: held})


def spread(items: Sequence[Item], count: int) -> tuple[Item, ...]:
    """At most `count` items, evenly spread from first to last."""
    places = np.linspace(0, len(items) - 1, min(count, len(items)))
    return tuple(items[round(place)] for place in places)
