"""Parity: how far an artifact gives the labels of the Keras model that it was made from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from asap_tf.core.formats import FLOORS
from asap_tf.core.labels import LabelClass
from asap_tf.export.frames import Frames
from asap_tf.inference.metrics import Scores, confusion_matrix

CONFIDENCE_LIMIT = 0.02
"""Largest mean difference in confidence between an export and its Keras model."""


@dataclass(frozen=True)
class Answers:
    """What a network made of frames.

    Attributes:
        labels: uint8 `(N, H, W)`.
        confidence: float32 `(N, H, W)`, 0..1; None where it is not asked for.
    """

    labels: np.ndarray
    confidence: np.ndarray | None = None


@dataclass(frozen=True)
class Parity:
    """Result of a comparison with the Keras model.

    Attributes:
        frames: Number of frames compared, at the size of the network.
        source: Origin of the frames, for people.
        agreement: Share of pixels with the same label, 0..1.
        miou_difference: mIoU of the artifact less that of the Keras model on these frames, -1..1;
            None without truth.
        floor: Least agreement allowed.
        confidence_difference: Mean absolute difference in confidence, 0..1; None without it.
        exact_agreement: Agreement with labels of full size, where `agreement` is with labels of the
            same label stride; else None.
        exact_miou_difference: Difference in mIoU from labels of full size; else None.
    """

    frames: int
    source: str
    agreement: float
    miou_difference: float | None
    floor: float
    confidence_difference: float | None = None
    exact_agreement: float | None = None
    exact_miou_difference: float | None = None

    @property
    def holds(self) -> bool:
        """Whether labels agree and confidences are close enough."""
        return self.agreement >= self.floor and (
            self.confidence_difference is None or self.confidence_difference <= CONFIDENCE_LIMIT
        )

    def __str__(self) -> str:
        text = f"{self.agreement:.2%} of labels as in Keras"
        if self.miou_difference is not None:
            text += f", mIoU {100 * self.miou_difference:+.2f}"
        if self.confidence_difference is not None:
            text += f", confidence within {self.confidence_difference:.4f}"
        if self.exact_agreement is not None:
            text += f"; against labels of full size {self.exact_agreement:.2%}"
        if self.exact_miou_difference is not None:
            text += f", mIoU {100 * self.exact_miou_difference:+.2f}"
        return text

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


@dataclass(frozen=True, eq=False)
class Reference:
    """The Keras model's answers, which artifacts are compared with.

    Attributes:
        frames: Frames that were labeled.
        classes: Classes in the order of their train ids.
        answers: The Keras model's, of the artifacts' label stride.
        exact: Those of full size, where `answers` are of a stride; else None.
    """

    frames: Frames
    classes: Sequence[LabelClass]
    answers: Answers
    exact: Answers | None = None

    def compare(self, given: Answers, precision: str) -> Parity:
        """Compares an artifact with the Keras model.

        Args:
            given: Artifact's answers to the same frames.
            precision: Key of `FLOORS`.
        """
        agreement, difference = self._against(self.answers.labels, given.labels)
        parity = Parity(
            len(given.labels), self.frames.source, agreement, difference, FLOORS[precision]
        )
        if given.confidence is not None and self.answers.confidence is not None:
            confidence = np.abs(given.confidence - self.answers.confidence).mean()
            parity = replace(parity, confidence_difference=float(confidence))
        if self.exact is None:
            return parity
        agreement, difference = self._against(self.exact.labels, given.labels)
        return replace(parity, exact_agreement=agreement, exact_miou_difference=difference)

    def _against(self, own: np.ndarray, labels: np.ndarray) -> tuple[float, float | None]:
        """Share of equal labels, and the difference in mIoU where there is a truth."""
        truths, difference = self.frames.truths, None
        if truths is not None:
            difference = self._miou(truths, labels) - self._miou(truths, own)
        return float(np.mean(labels == own)), difference

    def _miou(self, truths: np.ndarray, labels: np.ndarray) -> float:
        matrix = confusion_matrix(truths, labels, len(self.classes))
        return Scores.from_confusion(matrix, self.classes).miou
