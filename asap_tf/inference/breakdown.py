"""IoU by the size of regions, and by the distance from the frame's lower edge."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from asap_tf.core.labels import IGNORE_LABEL, LabelClass
from asap_tf.inference.metrics import aligned, mean_of_defined, percent, plain, ratio

PARTS = {
    "size": ("below 32 x 32", "below 96 x 96", "larger"),
    "row": ("lowest quarter", "second", "third", "topmost"),
}
"""What each kind of breakdown tells apart: regions by their pixels, as COCO's small, medium and
large objects; rows by their distance from the lower edge, which stands for that from the camera."""

_AREAS = np.array([32**2, 96**2])


@dataclass(frozen=True, eq=False)
class Breakdown:
    """IoU of classes in parts of the pixels.

    A pixel that was right or missed counts for the part that it has in the truth, one that was
    falsely predicted for the part that it has in the prediction: the size of the region that it
    lies in. So parts add up to the whole.

    Attributes:
        kind: Key of `PARTS`.
        classes: Classes in the order of their train ids.
        counts: As of `part_counts`.
    """

    kind: str
    classes: Sequence[LabelClass]
    counts: np.ndarray

    @property
    def iou(self) -> np.ndarray:
        """IoU of each part and class, float64 `(parts, classes)`, 0..1; nan for one in neither."""
        return ratio(self.counts[0], self.counts.sum(axis=0))

    @property
    def miou(self) -> list[float]:
        """Mean of each part's IoU without its nan; nan if there is none."""
        return [mean_of_defined(iou) for iou in self.iou]

    @property
    def shares(self) -> np.ndarray:
        """Share of the true pixels that each part has, float64 `(parts,)`."""
        pixels = self.counts[:2].sum(axis=(0, 2))
        return pixels / max(1, pixels.sum())

    def table(self) -> str:
        """The scores as text, in percent; `-` where undefined."""
        rows = [(f"IoU % by {self.kind}", *PARTS[self.kind])]
        values = [(c.name, iou) for c, iou in zip(self.classes, self.iou.T, strict=True)]
        values += [("mIoU", np.array(self.miou)), ("share of pixels", self.shares)]
        for name, of_parts in values:
            rows.append((name, *map(percent, of_parts)))
        return aligned(rows, 14)

    def to_dict(self) -> dict[str, object]:
        """The scores by part as plain data for JSON: shares 0..1, None where undefined."""
        names = [c.name for c in self.classes]
        return {
            part: {
                "miou": plain(miou),
                "iou": dict(zip(names, map(plain, iou), strict=True)),
                "share": float(share),
            }
            for part, miou, iou, share in zip(
                PARTS[self.kind], self.miou, self.iou, self.shares, strict=True
            )
        }


def part_counts(
    kind: str, truth: np.ndarray, prediction: np.ndarray, num_classes: int
) -> np.ndarray:
    """Counts the pixels of a frame by part and class.

    Args:
        kind: Key of `PARTS`.
        truth: Train ids, uint8 `(H, W)`; pixels that are `IGNORE_LABEL` are not counted.
        prediction: Train ids, uint8 `(H, W)`; ids from `num_classes` on are no class.
        num_classes: Number of classes.

    Returns:
        int64 `(3, parts, num_classes)`: pixels that are right, missed (of their true class), and
        false (of the predicted one). Sums over frames are what `Breakdown` takes.
    """
    labeled, right = truth != IGNORE_LABEL, truth == prediction
    of_truth, of_prediction = (_parts(kind, labels) for labels in (truth, prediction))
    counts = [
        np.bincount(256 * parts[which] + labels[which], minlength=256 * len(PARTS[kind]))
        for parts, labels, which in (
            (of_truth, truth, labeled & right),
            (of_truth, truth, labeled & ~right),
            (of_prediction, prediction, labeled & ~right),
        )
    ]
    return np.stack(counts).reshape(3, -1, 256)[..., :num_classes]


def _parts(kind: str, labels: np.ndarray) -> np.ndarray:
    """The part that each pixel belongs to, int64 `(H, W)`."""
    if kind == "row":
        height, count = len(labels), len(PARTS[kind])
        from_below = np.arange(height)[::-1, np.newaxis]
        return np.broadcast_to(from_below * count // height, labels.shape)
    parts = np.zeros(labels.shape, np.int64)
    for train_id in np.unique(labels).tolist():
        mask = labels == train_id
        # Pixels that touch at corners are of one region.
        _, ids, stats, _ = cv2.connectedComponentsWithStats(mask.view(np.uint8), connectivity=8)
        parts[mask] = np.searchsorted(_AREAS, stats[:, cv2.CC_STAT_AREA], "right")[ids[mask]]
    return parts
