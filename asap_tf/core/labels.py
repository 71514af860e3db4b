"""Classes: name, color and category; their palette; tables between those of data and network."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from asap_tf.core.errors import UsageError, nearest

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


@dataclass(frozen=True)
class LabelTable:
    """How the classes of a dataset stand to those of a network.

    Attributes:
        classes: Classes of the dataset.
        targets: Classes of the network.
        groups: Train ids of the network's classes that each class of the dataset may be; empty
            for a class that is neither learned nor scored.
    """

    classes: tuple[LabelClass, ...]
    targets: tuple[LabelClass, ...]
    groups: tuple[tuple[int, ...], ...]

    @property
    def is_identity(self) -> bool:
        """Whether the classes are the same, in the same order."""
        return [c.name for c in self.classes] == [c.name for c in self.targets] and all(
            group == (i,) for i, group in enumerate(self.groups)
        )

    @functools.cached_property
    def owners(self) -> list[int | None]:
        """The one class of the dataset that each of the network's belongs to; else None."""
        owners = [
            [i for i, group in enumerate(self.groups) if target in group]
            for target in range(len(self.targets))
        ]
        return [found[0] if len(found) == 1 else None for found in owners]

    def names(self) -> dict[str, list[str]]:
        """Names of the network's classes by the name of the dataset's, of those compared."""
        return {
            label.name: [self.targets[i].name for i in group]
            for label, group in zip(self.classes, self.groups, strict=True)
            if group
        }

    def summary(self) -> str:
        """The table for a terminal: a line for each class of the dataset."""
        names = self.names()
        width = max(map(len, names))
        lines = [f"{name:<{width}}  {', '.join(group)}" for name, group in names.items()]
        left_out = [c.name for c in self.classes if c.name not in names]
        if left_out:
            lines.append(f"left out: {', '.join(left_out)}")
        return "\n".join(lines)


def relate(
    classes: Sequence[LabelClass],
    targets: Sequence[LabelClass],
    names: Mapping[str, Sequence[str]] | None = None,
) -> LabelTable:
    """The table of a dataset's classes and a network's.

    Args:
        classes: Classes of the dataset.
        targets: Classes of the network.
        names: Names of the network's classes that a class of the dataset may be, by its name;
            classes without an entry are left out. None relates classes of the same name.

    Raises:
        UsageError: if no classes are related, or a name is that of no class.

    Examples:
        >>> relate(camvid.CLASSES, cityscapes.CLASSES, {"bicyclist": ["rider", "bicycle"]})
    """
    own, ids = [c.name for c in classes], {c.name: i for i, c in enumerate(targets)}
    if names is None:
        names = {name: (name,) for name in own if name in ids}
    for name, group in names.items():
        if name not in own:
            raise UsageError(f"label table: the data has no class '{name}'; {nearest(name, own)}")
        for target in group:
            if target not in ids:
                raise UsageError(
                    f"label table: {name}: the model has no class '{target}'; "
                    f"{nearest(target, ids)}"
                )
    groups = tuple(tuple(sorted({ids[t] for t in names.get(name, ())})) for name in own)
    if not any(groups):
        raise UsageError(
            f"no class of the data ({', '.join(own)}) is one of the model ({', '.join(ids)}); "
            "give a `table` that relates them"
        )
    return LabelTable(tuple(classes), tuple(targets), groups)
