"""Confidences made honest: one number, fitted on labeled frames, that logits are divided by."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from asap_tf.core.errors import UsageError
from asap_tf.core.labels import IGNORE_LABEL
from asap_tf.core.progress import ProgressBar
from asap_tf.data.dataset import Dataset
from asap_tf.data.pipeline import eval_pairs
from asap_tf.inference.evaluate import require_masks, require_same_classes
from asap_tf.runtime import Segmenter
from asap_tf.runtime.network import softmax

BINS = 15
PIXELS = 4096
"""Of each frame, drawn at random: neighbors say the same."""

LIMITS = 0.05, 20.0


@dataclass(frozen=True)
class Calibration:
    """Result of `calibrate`.

    Attributes:
        temperature: What logits are to be divided by; above 1 for a network that is too sure.
        before: Expected calibration error of confidences as they were, 0..1.
        after: The same at `temperature`.
    """

    temperature: float
    before: float
    after: float

    def __str__(self) -> str:
        return (
            f"expected calibration error {self.before:.2%} -> {self.after:.2%} at temperature "
            f"{self.temperature:.3f}"
        )


def calibrate(segmenter: Segmenter, dataset: Dataset, split: str = "val") -> Calibration:
    """Fits the temperature at which the labels of a split are likeliest.

    Labels stay as they are; `segmenter.temperature` is not changed.

    Args:
        segmenter: A model that gives logits.
        dataset: Dataset of the model's classes.
        split: Split that the model was not trained on.

    Raises:
        UsageError: if the classes differ, the split has no masks, or the model gives labels only.
        AsapError: if a file cannot be read.

    Source: Guo et al. 2017, "On Calibration of Modern Neural Networks", section 4.2.
    """
    require_same_classes(segmenter.classes, dataset)
    require_masks(dataset, split)
    rng = np.random.default_rng(0)
    found, truths = [], []
    pairs = dataset.pairs(split)
    read = eval_pairs(pairs, dataset.encoding)
    for _, image, truth in ProgressBar(read, "calibrating", len(pairs), unit="frame"):
        labeled = np.flatnonzero(truth != IGNORE_LABEL)
        chosen = np.sort(rng.choice(labeled, min(PIXELS, len(labeled)), replace=False))
        for _, rows, logits in segmenter.logits_in_parts(image[np.newaxis]):
            start, stop = (row * truth.shape[1] for row in (rows.start, rows.stop))
            here = chosen[(chosen >= start) & (chosen < stop)]
            found.append(logits.reshape(-1, logits.shape[-1])[here - start])
            truths.append(truth.ravel()[here])
    logits, labels = np.concatenate(found).astype(np.float64), np.concatenate(truths)
    if not len(labels):
        raise UsageError(f"{dataset.root}: split '{split}' has not one labeled pixel")
    temperature = likeliest_temperature(logits, labels)
    errors = [
        calibration_error(softmax(logits / t), labels) for t in (segmenter.temperature, temperature)
    ]
    return Calibration(temperature, *errors)


def likeliest_temperature(logits: np.ndarray, labels: np.ndarray) -> float:
    """The temperature, within `LIMITS`, of the least mean negative log-likelihood.

    That is convex in 1 / temperature, so its slope has one root, which is found by halving.

    Args:
        logits: `(N, classes)`.
        labels: Train ids, integers `(N,)`.
    """
    own = logits[np.arange(len(labels)), labels]

    def slope(scale: float) -> float:
        return float(((softmax(logits * scale) * logits).sum(-1) - own).mean())

    low, high = 1 / LIMITS[1], 1 / LIMITS[0]
    for _ in range(40):
        middle = np.sqrt(low * high)
        low, high = (low, middle) if slope(middle) > 0 else (middle, high)
    return float(1 / np.sqrt(low * high))


def calibration_error(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """Expected calibration error, 0..1: how far confidences are from how often they are right.

    Args:
        probabilities: `(N, classes)`.
        labels: Train ids, integers `(N,)`.

    Source: Naeini et al. 2015, with 15 bins of one width.
    """
    confidence = probabilities.max(-1)
    right = probabilities.argmax(-1) == labels
    bins = np.minimum((confidence * BINS).astype(int), BINS - 1)
    gaps = np.bincount(bins, right - confidence, BINS)
    return float(np.abs(gaps).sum() / len(labels))
