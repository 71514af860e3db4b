"""The Cityscapes ids that Streets draws, and how instances are counted."""

from __future__ import annotations

from collections import Counter

from asap_tf.data.cityscapes import LABELS

ID = {label.name: label.label_id for label in LABELS}
"""Official label id by name."""

COUNTED = ("person", "rider", "car", "truck", "bus", "train", "motorcycle", "bicycle")
"""Classes whose objects have their own ids: label id * 1000 + number."""

UNSEEN = -1
"""For parts that are in the frame but not in the labels: wires, spokes, puddles."""


class InstanceIds:
    """Assigns ids in the official encoding, numbered from 0 per class."""

    def __init__(self) -> None:
        self._count: Counter[str] = Counter()

    def new(self, name: str) -> int:
        """The id for one more object of a class; its plain label id if the class is not counted."""
        if name not in COUNTED:
            return ID[name]
        self._count[name] += 1
        return ID[name] * 1000 + self._count[name] - 1
