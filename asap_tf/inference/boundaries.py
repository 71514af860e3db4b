"""Scores of boundaries between classes."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from asap_tf.core.labels import IGNORE_LABEL
from asap_tf.inference.metrics import Scores, mean_of_defined, plain


@dataclass(frozen=True, eq=False)
class BoundaryScores:
    """Scores of boundaries.

    Attributes:
        width: Pixels from a boundary up to which pixels are scored, and boundaries agree.
        near: Scores of the pixels near the true boundaries.
        f_score: F-score of each class's boundaries, see `boundary_f_score`.
    """

    width: int
    near: Scores
    f_score: np.ndarray

    @property
    def mean_f_score(self) -> float:
        """Mean of `f_score` without its nan; nan if there is none."""
        return mean_of_defined(self.f_score)

    def summary(self) -> str:
        """The means as a line of text."""
        return (
            f"within {self.width} pixels of a boundary: mIoU {self.near.miou:.2%}, "
            f"F-score of boundaries {self.mean_f_score:.2%}"
        )

    def to_dict(self) -> dict[str, object]:
        """The scores as plain data for JSON."""
        names = [c.name for c in self.near.classes]
        return {
            "pixels": self.width,
            **self.near.to_dict(),
            "mean_f_score": plain(self.mean_f_score),
            "f_score": dict(zip(names, map(plain, self.f_score), strict=True)),
        }


def near_boundaries(truth: np.ndarray, width: float) -> np.ndarray:
    """The pixels near a boundary of two classes; one with ignored pixels is none.

    Args:
        truth: Train ids, uint8 `(H, W)`.
        width: Pixels on either side of a boundary, at least 1: its two neighbors are at 1.

    Returns:
        bool `(H, W)`.

    Examples:
        >>> near_boundaries(np.uint8([[0, 0, 1, 1, 255]]), 1)
        array([[False,  True,  True, False, False]])
    """
    return _distance(_at_boundaries(truth)) < width


def boundary_counts(
    truth: np.ndarray, prediction: np.ndarray, width: float, num_classes: int
) -> np.ndarray:
    """How many pixels at the boundaries of each class have a like one close by.

    A class's boundary is the pixels of it that have one of another class beside them.

    Args:
        truth: Train ids, uint8 `(H, W)`, `IGNORE_LABEL` where ignored; so is the prediction there.
        prediction: Train ids, uint8 `(H, W)`.
        width: Largest distance in pixels at which boundaries agree.
        num_classes: Classes of both; others are not counted.

    Returns:
        int64 `(4, num_classes)`: of the true boundary all pixels, and those near the predicted one;
        of the predicted boundary all, and those near the true one. Sums of it over frames are what
        `boundary_f_score` takes.
    """
    prediction = np.where(truth == IGNORE_LABEL, truth, prediction)
    edges = [np.where(_at_boundaries(x), x, np.uint8(IGNORE_LABEL)) for x in (truth, prediction)]
    counts = np.zeros((4, num_classes), np.int64)
    for train_id in set(np.unique(edges).tolist()) & set(range(num_classes)):
        true, predicted = (edge == train_id for edge in edges)
        counts[:, train_id] = (
            true.sum(),
            (_distance(predicted)[true] <= width).sum(),
            predicted.sum(),
            (_distance(true)[predicted] <= width).sum(),
        )
    return counts


def boundary_f_score(counts: np.ndarray) -> np.ndarray:
    """F-score of each class's boundaries, 0..1; nan where there is none in truth and prediction.

    Source: Csurka et al. 2013, "What is a good evaluation measure for semantic segmentation?"; of
    the pixels of all frames together.

    Args:
        counts: As of `boundary_counts`.
    """
    true, found, predicted, right = counts.astype(float)
    recall, precision = found / np.maximum(true, 1), right / np.maximum(predicted, 1)
    both = precision + recall
    scores = 2 * precision * recall / np.where(both > 0, both, 1)
    return np.where(true + predicted > 0, scores, np.nan)


def _at_boundaries(labels: np.ndarray) -> np.ndarray:
    """Pixels that have one of another class above, below, left or right of them."""
    labeled = labels != IGNORE_LABEL
    found = np.zeros(labels.shape, bool)
    for first, second in ((np.s_[:-1], np.s_[1:]), (np.s_[:, :-1], np.s_[:, 1:])):
        differ = (labels[first] != labels[second]) & labeled[first] & labeled[second]
        found[first] |= differ
        found[second] |= differ
    return found


def _distance(places: np.ndarray) -> np.ndarray:
    """Distance of every pixel to the nearest of some; infinite if there is none."""
    if not places.any():
        return np.full(places.shape, np.inf, np.float32)
    return cv2.distanceTransform((~places).view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
