"""The proof that an artifact does what the Keras model does."""

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
    """How far an artifact agrees with the Keras model it was made from.

    Attributes:
        frames: Number of frames compared, at the size of the network.
        source: Where they are from.
        agreement: Share of pixels with the same label, 0..1.
        miou_difference: mIoU of the artifact less that of the Keras model on these frames, -1..1;
            None without truth.
        floor: The least agreement allowed.
        exact_agreement: Where labels share pixels (`label_stride`), and agreement is with the Keras
            model's of that stride: agreement with those of full size. Else None.
        exact_miou_difference: The same of the mIoU.
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


def compare(
    labels: np.ndarray,
    reference: np.ndarray,
    frames: Frames,
    classes: Sequence[LabelClass],
    precision: str,
    exact: np.ndarray | None = None,
) -> Parity:
    """Holds an artifact's labels against the Keras model's.

    Args:
        labels: The artifact's, uint8 `(N, H, W)`.
        reference: The Keras model's, of the same frames and stride.
        frames: What both were given.
        classes: In the order of their train ids.
        precision: A key of `FLOORS`.
        exact: The Keras model's labels of full size, where `reference` is of a stride.
    """

    def against(others: np.ndarray) -> tuple[float, float | None]:
        difference = None
        if frames.truths is not None:
            difference = _miou(labels, frames.truths, classes) - _miou(
                others, frames.truths, classes
            )
        return float(np.mean(labels == others)), difference

    agreement, difference = against(reference)
    parity = Parity(len(labels), frames.source, agreement, difference, FLOORS[precision])
    if exact is None:
        return parity
    agreement, difference = against(exact)
    return replace(parity, exact_agreement=agreement, exact_miou_difference=difference)


def _miou(labels: np.ndarray, truths: np.ndarray, classes: Sequence[LabelClass]) -> float:
    matrix = confusion_matrix(truths, labels, len(classes))
    return Scores.from_confusion(matrix, classes).miou
