"""Encodings of masks: one index value or one color for each class."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

import numpy as np

from asap_tf.core.labels import IGNORE_LABEL

_OUTSIDE = 254
_MOST_NAMED = 8


class IndexEncoding:
    """Masks with one value per pixel: 8-bit gray, or the indices of a palette image.

    Args:
        train_ids: Train id, or 255 for ignored, by the value that stands for it in the file.
            Values (0..255) that are not in the table are errors in a mask.

    Example:
        >>> IndexEncoding({7: 0, 8: 1, 0: 255}).decode(np.uint8([[7, 8, 0]]))
        array([[  0,   1, 255]], dtype=uint8)
    """

    mode: ClassVar[Literal["L", "RGB"]] = "L"

    def __init__(self, train_ids: Mapping[int, int]) -> None:
        self._table = np.full(256, _OUTSIDE, np.uint8)
        for value, train_id in train_ids.items():
            self._table[value] = train_id

    def decode(self, raw: np.ndarray) -> np.ndarray:
        """Train ids, uint8 `(H, W)`, of file values, uint8 `(H, W)`.

        Raises:
            ValueError: if a value is not in the table.
        """
        labels = self._table[raw]
        outside = labels == _OUTSIDE
        if outside.any():
            raise ValueError(_outside([str(value) for value in np.unique(raw[outside])], "ids"))
        return labels


class ColorEncoding:
    """Masks with one RGB color per class.

    Args:
        train_ids: Train id, or 255 for ignored, by RGB color (0..255 each). Other colors are
            errors in a mask.

    Example:
        >>> encoding = ColorEncoding({(128, 64, 128): 0, (0, 0, 0): 255})
        >>> encoding.decode(np.uint8([[[128, 64, 128], [0, 0, 0]]]))
        array([[  0, 255]], dtype=uint8)
    """

    mode: ClassVar[Literal["L", "RGB"]] = "RGB"

    def __init__(self, train_ids: Mapping[tuple[int, int, int], int]) -> None:
        # Sorted 24-bit colors and a binary search: 16 MB less than a table of every color.
        codes = {(r << 16) | (g << 8) | b: i for (r, g, b), i in train_ids.items()}
        self._codes = np.array(sorted(codes), np.int32)
        self._train_ids = np.array([codes[code] for code in sorted(codes)], np.uint8)

    def decode(self, raw: np.ndarray) -> np.ndarray:
        """Train ids, uint8 `(H, W)`, of colors, uint8 `(H, W, 3)`.

        Raises:
            ValueError: if a color is not in the table.
        """
        red, green, blue = np.moveaxis(raw.astype(np.int32), -1, 0)
        code = (red << 16) | (green << 8) | blue
        position = np.searchsorted(self._codes, code).clip(max=len(self._codes) - 1)
        outside = self._codes[position] != code
        if outside.any():
            colors = np.unique(raw[outside], axis=0)
            raise ValueError(_outside([f"({r}, {g}, {b})" for r, g, b in colors], "colors"))
        return self._train_ids[position]


def train_id_encoding(num_classes: int) -> IndexEncoding:
    """Masks that already hold train ids 0..num_classes-1, and 255 where ignored."""
    return IndexEncoding({i: i for i in range(num_classes)} | {IGNORE_LABEL: IGNORE_LABEL})


def _outside(values: list[str], what: str) -> str:
    more = f" and {len(values) - _MOST_NAMED} more" if len(values) > _MOST_NAMED else ""
    return (
        f"holds {what} outside the class table: {', '.join(values[:_MOST_NAMED])}{more}; "
        f"correct the mask, or the dataset's table of {what}"
    )
