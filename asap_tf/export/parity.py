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
        exact_agreement: Agreement with labels of full size, where `agreement` is with labels of the
            same label stride; else None.
        exact_miou_difference: Difference in mIoU from labels of full size; else None.
    """

    frames: int
    source: str
    agreement: float
    miou_difference: float | None
    floor: float
    exact_agreement: float | None = None
    exact_miou_difference: float | None = None

    @property
    def holds(self) -> bool:
        """Whether the agreement reaches the floor."""
        return self.agreement >= self.floor

    def __str__(self) -> str:
        text = f"{self.agreement:.2%} of labels as in Keras"
        if self.miou_difference is not None:
            text += f", mIoU {100 * self.miou_difference:+.2f}"
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
    """The Keras model's labels, which artifacts are compared with.

    Attributes:
        frames: Frames that were labeled.
        classes: Classes in the order of their train ids.
        labels: Labels, uint8 `(N, H, W)`, of the artifacts' label stride.
        exact: Labels of full size, where `labels` are of a stride; else None.
    """

    frames: Frames
    classes: Sequence[LabelClass]
    labels: np.ndarray
    exact: np.ndarray | None = None

    def compare(self, labels: np.ndarray, precision: str) -> Parity:
        """Compares an artifact with the Keras model.

        Args:
            labels: Artifact's labels of the same frames, uint8 `(N, H, W)`.
            precision: Key of `FLOORS`.
        """
        agreement, difference = self._against(self.labels, labels)
        floor = FLOORS[precision]
        parity = Parity(len(labels), self.frames.source, agreement, difference, floor)
        if self.exact is None:
            return parity
        agreement, difference = self._against(self.exact, labels)
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
