"""Classes: name, color and category; their palette; and the label that is ignored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

IGNORE_LABEL = 255
"""Train id of pixels that count neither in the loss nor in the score."""


@dataclass(frozen=True)
class LabelClass:
    """One class of a dataset; its train id is its position in `Dataset.classes`.

    Attributes:
        name: Name as published, for instance `"traffic light"`.
        color: RGB color, 0..255, of color maps and overlays.
        category: Group for the category mIoU, for instance `"vehicle"`.
        label_id: Value of this class in the dataset's own masks (Cityscapes: the official label
            id, 7 for road); -1 for color-coded masks.
    """

    name: str
    color: tuple[int, int, int]
    category: str
    label_id: int


def palette(classes: Sequence[LabelClass]) -> np.ndarray:
    """Colors by train id, uint8 `(num_classes, 3)`, RGB."""
    return np.array([c.color for c in classes], np.uint8)


def numbered_classes(count: int) -> list[LabelClass]:
    """Classes `"class 0"` and so on in distinct colors, for a model that does not name its own."""
    hues = np.arange(count) * 0.618034 % 1 * 179
    hsv = np.stack([hues, np.full(count, 200), np.full(count, 230)], -1).astype(np.uint8)
    colors = cv2.cvtColor(hsv[None], cv2.COLOR_HSV2RGB)[0]
    return [
        LabelClass(f"class {i}", (int(red), int(green), int(blue)), "unknown", i)
        for i, (red, green, blue) in enumerate(colors)
    ]
