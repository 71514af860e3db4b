"""What a class is: name, color, category; and the label that is ignored."""

from __future__ import annotations

from dataclasses import dataclass

IGNORE_LABEL = 255
"""Train id of pixels that neither the loss nor the score looks at."""


@dataclass(frozen=True)
class LabelClass:
    """One class of a dataset; its train id is its position in `Dataset.classes`.

    Attributes:
        name: Name as published, for instance `"traffic light"`.
        color: RGB, 0..255, used for color maps and overlays.
        category: Group for the category mIoU, for instance `"vehicle"`.
        label_id: The value that stands for this class in the dataset's own masks
            (Cityscapes: the official label id, 7 for road); -1 for color-coded masks.
    """

    name: str
    color: tuple[int, int, int]
    category: str
    label_id: int
