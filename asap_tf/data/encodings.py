"""Encodings of masks: one index value or one color for each class, and labels in their place."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import islice
from typing import ClassVar, Literal

import numpy as np

from asap_tf.core.labels import IGNORE_LABEL
from asap_tf.data.dataset import MaskEncoding

_OUTSIDE = 254
_MOST_NAMED = 8
_PIXELS = 1 << 20
"""Decoded at once: what that takes is many times a pixel's three bytes."""


class IndexEncoding:
    """Masks with one value per pixel: 8-bit gray, or the indices of a palette image.

    Args:
        train_ids: Train id, or 255 for ignored, by the value that stands for it in the file.
            Values (0..255) that are not in the table are errors in a mask.

    Examples:
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
            values = np.unique(raw[outside])
            raise ValueError(_outside(map(str, values), len(values), "ids"))
        return labels


class ColorEncoding:
    """Masks with one RGB color per class.

    Args:
        train_ids: Train id, or 255 for ignored, by RGB color (0..255 each). Other colors are
            errors in a mask.

    Examples:
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
        pixels = raw.reshape(-1, 3)
        labels = np.empty(len(pixels), np.uint8)
        unknown = None
        for start in range(0, len(pixels), _PIXELS):
            red, green, blue = pixels[start : start + _PIXELS].astype(np.int32).T
            code = (red << 16) | (green << 8) | blue
            position = np.searchsorted(self._codes, code).clip(max=len(self._codes) - 1)
            labels[start : start + _PIXELS] = self._train_ids[position]
            outside = self._codes[position] != code
            if outside.any():
                unknown = np.zeros(1 << 24, bool) if unknown is None else unknown
                unknown[code[outside]] = True
        if unknown is not None:
            codes = np.flatnonzero(unknown)
            colors = (f"({c >> 16}, {c >> 8 & 255}, {c & 255})" for c in codes)
            raise ValueError(_outside(colors, len(codes), "colors"))
        return labels.reshape(raw.shape[:2])


class RelabeledEncoding:
    """Masks of another encoding, whose train ids become other labels.

    Args:
        encoding: Encoding of the masks.
        labels: Label, or 255 for ignored, by train id, uint8 `(256,)`.
    """

    def __init__(self, encoding: MaskEncoding, labels: np.ndarray) -> None:
        self.mode = encoding.mode
        self._encoding = encoding
        self._labels = labels

    def decode(self, raw: np.ndarray) -> np.ndarray:
        """Labels, uint8 `(H, W)`; argument and errors as of the encoding."""
        return self._labels[self._encoding.decode(raw)]


def train_id_encoding(num_classes: int) -> IndexEncoding:
    """Masks that already hold train ids 0..num_classes-1, and 255 where ignored."""
    return IndexEncoding({i: i for i in range(num_classes)} | {IGNORE_LABEL: IGNORE_LABEL})


def _outside(values: Iterable[str], count: int, what: str) -> str:
    more = f" and {count - _MOST_NAMED} more" if count > _MOST_NAMED else ""
    return (
        f"holds {what} outside the class table: {', '.join(islice(values, _MOST_NAMED))}{more}; "
        f"correct the mask, or the dataset's table of {what}"
    )
