"""Scores of a model on corrupted frames."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from asap_tf.core.labels import relate
from asap_tf.core.progress import ProgressBar
from asap_tf.data.corruptions import CORRUPTIONS, SEVERITIES, corrupt
from asap_tf.data.dataset import Dataset
from asap_tf.data.pipeline import eval_pairs
from asap_tf.inference.evaluate import require_masks
from asap_tf.inference.metrics import Scores, aligned, confusion_matrix, in_classes_of_data, plain

if TYPE_CHECKING:
    from asap_tf.runtime import Segmenter


@dataclass(frozen=True)
class Robustness:
    """Result of `robustness`.

    Attributes:
        clean: mIoU on the frames as they are, 0..1.
        miou: mIoU by corruption, at severity 1, 2 and so on.
        num_frames: Number of frames.
    """

    clean: float
    miou: dict[str, list[float]]
    num_frames: int

    @property
    def mean(self) -> float:
        """Mean of `miou` over corruptions and severities."""
        return float(np.mean(list(self.miou.values())))

    def summary(self) -> str:
        """The scores as text, in percent; the last column is a mean over that on clean frames."""
        rows = [("mIoU % at severity", *map(str, range(1, SEVERITIES + 1)), "mean", "of clean")]
        for name, scores in (*self.miou.items(), ("mean", np.mean(list(self.miou.values()), 0))):
            values = (*scores, np.mean(scores), self._relative(float(np.mean(scores))))
            rows.append((name, *(f"{100 * value:.2f}" for value in values)))
        rows.insert(1, ("clean", *[""] * SEVERITIES, f"{100 * self.clean:.2f}", ""))
        return aligned(rows, 8)

    def to_dict(self) -> dict[str, object]:
        """The scores as plain data for JSON: shares 0..1, None where undefined."""
        return {
            "miou": plain(self.clean),
            "corruptions": {
                name: {
                    "miou": [plain(score) for score in scores],
                    "mean": plain(float(np.mean(scores))),
                    "of_clean": plain(self._relative(float(np.mean(scores)))),
                }
                for name, scores in self.miou.items()
            },
            "mean": plain(self.mean),
            "of_clean": plain(self._relative(self.mean)),
        }

    def _relative(self, score: float) -> float:
        return score / self.clean if self.clean else float("nan")


def robustness(
    segmenter: Segmenter,
    dataset: Dataset,
    split: str = "val",
    table: Mapping[str, Sequence[str]] | None = None,
    seed: int = 0,
) -> Robustness:
    """Scores a model on frames as they are, and under every corruption at every severity.

    Args:
        segmenter: Any artifact that `asap_tf.runtime.load` opens.
        dataset: Dataset to score on.
        split: Name of the split to score; it needs masks.
        table: As of `evaluate`.
        seed: Of all that is random; each frame, corruption and severity has its own numbers.

    Raises:
        UsageError: if the classes have nothing in common, or the split has no masks.
        AsapError: if a file cannot be read.

    Examples:
        >>> print(robustness(load("run"), open_dataset("cityscapes")).summary())
    """
    related = relate(dataset.classes, segmenter.classes, table)
    require_masks(dataset, split)
    pairs = dataset.pairs(split)
    kinds = [(name, severity) for name in CORRUPTIONS for severity in range(1, SEVERITIES + 1)]
    matrices = np.zeros((1 + len(kinds), len(dataset.classes), len(segmenter.classes)), np.int64)
    progress = ProgressBar(
        eval_pairs(pairs, dataset.encoding), "corrupting", len(pairs), unit="frame"
    )
    for index, (_, image, truth) in enumerate(progress):
        for i, kind in enumerate([None, *kinds]):
            seen = corrupt(image, *kind, np.random.default_rng([seed, index, i])) if kind else image
            labels = segmenter.predict(seen[np.newaxis])[0]
            matrices[i] += confusion_matrix(truth, labels, *matrices.shape[1:])
    clean, *miou = (
        Scores.from_confusion(in_classes_of_data(matrix, related), dataset.classes).miou
        for matrix in matrices
    )
    rows = np.reshape(miou, (-1, SEVERITIES)).tolist()
    return Robustness(clean, dict(zip(CORRUPTIONS, rows, strict=True)), len(pairs))
