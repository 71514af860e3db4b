"""Online hard example mining for segmentation (paper, Eq. 5 and its reference 18)."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from asap_tf.layers.gradients import custom_gradient, fused
from asap_tf.layers.replicas import replica_context
from asap_tf.layers.tensor import Tensor

SMALLEST = 1e-30
"""Probability below which float32 may underflow, so that losses are computed from the logits."""


@keras.saving.register_keras_serializable("asap_tf")
class OhemCrossEntropy(keras.losses.Loss):
    """Mean cross entropy of the hard pixels of a batch.

    A pixel is hard if its true class has a probability under `threshold`. If fewer than
    `min_kept` of the valid pixels (rounded up) are hard, the valid pixels of the largest losses
    are kept in their place; pixels tied for the last places are weighted down to fit them.

    Where several devices share a batch, the hard pixels are chosen from the whole batch.

    Args:
        threshold: Probability of the true class under which a pixel is hard, in (0, 1].
        min_kept: Least fraction of the valid pixels that is kept, in (0, 1]; 1 is plain cross
            entropy.
        ignore_label: Train id of pixels without a label, which are not valid.
        class_weights: Factors of the pixels' losses, one per class; None for 1. They do not
            change which pixels are hard. A group has the least factor of its classes, which is
            that of the commonest.
        groups: Groups of classes that masks do not tell apart. Label C + i is that of the i-th,
            and its probability the sum of its classes'.

    `y_true`: train ids `(N, H, W)`, any integer type. `y_pred`: logits `(N, H, W, C)`, any float
    type. The loss is a float32 scalar, computed in float32: 0 for a batch without a valid pixel,
    nan for one with a label that is neither a class, a group nor `ignore_label`.

    Raises:
        ValueError: if `threshold` or `min_kept` is out of its range.

    Examples:
        >>> loss = OhemCrossEntropy()
        >>> loss(np.zeros((1, 4, 4), "uint8"), np.zeros((1, 4, 4, 19), "float32"))  # log(19)
        <tf.Tensor: shape=(), dtype=float32, numpy=2.944439>
    """

    def __init__(
        self,
        threshold: float = 0.7,
        min_kept: float = 1 / 16,
        ignore_label: int = 255,
        class_weights: Sequence[float] | None = None,
        groups: Sequence[Sequence[int]] = (),
        name: str = "ohem_cross_entropy",
        **kwargs: Any,
    ):
        super().__init__(name=name, **kwargs)
        for field, value in (("threshold", threshold), ("min_kept", min_kept)):
            if not 0 < value <= 1:
                raise ValueError(f"{field} must be in (0, 1]. Received: {field}={value}")
        self.threshold = threshold
        self.min_kept = min_kept
        self.ignore_label = ignore_label
        self.class_weights = None if class_weights is None else [float(w) for w in class_weights]
        self.groups = [list(group) for group in groups]

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        labels = ops.reshape(ops.cast(y_true, "int32"), (-1,))
        logits = ops.reshape(ops.cast(y_pred, "float32"), (-1, y_pred.shape[-1]))
        valid = ops.not_equal(labels, self.ignore_label)
        is_class = ops.logical_and(labels >= 0, labels < y_pred.shape[-1] + len(self.groups))
        wrong = ops.logical_and(valid, ops.logical_not(is_class))
        labels = ops.where(is_class, labels, 0)
        losses = ops.where(wrong, math.nan, cross_entropy(labels, logits, valid, self.groups))

        weights, divisor = self.pixel_weights(ops.stop_gradient(losses), valid)
        if self.class_weights is not None:
            of_groups = [min(self.class_weights[c] for c in group) for group in self.groups]
            factors = ops.convert_to_tensor([*self.class_weights, *of_groups])
            losses = losses * ops.take(factors, labels)
        return ops.sum(weights * losses) / divisor

    def pixel_weights(self, losses: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
        """The weight of each pixel's loss, and the divisor of their weighted sum.

        Where several devices share a batch, the divisor is that of the whole batch, since Keras
        adds up the devices' losses.
        """
        context = replica_context()
        if context is None:
            weights = ops.stop_gradient(self.hard_mask(losses, valid))
            return weights, ops.maximum(ops.sum(weights), 1.0)
        all_valid = context.all_gather(ops.cast(valid, "int32"), 0)
        weights = self.hard_mask(context.all_gather(losses, 0), ops.cast(all_valid, "bool"))
        divisor = ops.maximum(ops.sum(weights), 1.0)
        pixels, replica = ops.size(losses), context.replica_id_in_sync_group
        return ops.stop_gradient(weights[replica * pixels : (replica + 1) * pixels]), divisor

    def hard_mask(self, losses: Tensor, valid: Tensor) -> Tensor:
        """The mask of the pixels that are kept, float32: 1 or 0, and in between at a tie."""
        count = ops.sum(ops.cast(valid, "float32"))
        kept = ops.ceil(self.min_kept * count)
        hard = ops.logical_and(valid, losses > -math.log(self.threshold))
        hard = ops.cast(hard, "float32")

        def hardest() -> Tensor:
            ranked = ops.top_k(losses, self.max_kept(losses))[0]
            edge = ops.take(ranked, ops.maximum(ops.cast(kept, "int32") - 1, 0))
            above = ops.cast(losses > edge, "float32")
            tied = ops.cast(ops.logical_and(valid, ops.equal(losses, edge)), "float32")
            share = (kept - ops.sum(above)) / ops.maximum(ops.sum(tied), 1.0)
            return above + tied * share

        # Sorting is slow, and not needed early in training.
        return ops.cond(ops.sum(hard) < kept, hardest, lambda: hard)

    def max_kept(self, losses: Tensor) -> Tensor | int:
        """Upper bound of the pixels that `min_kept` adds, static where the batch's size is."""
        pixels = ops.shape(losses)[0]
        if isinstance(pixels, int):
            return max(1, -int(-self.min_kept * pixels // 1))
        return ops.cast(ops.ceil(self.min_kept * ops.cast(pixels, "float32")), "int32")

    def get_config(self) -> dict:
        return {
            **super().get_config(),
            "threshold": self.threshold,
            "min_kept": self.min_kept,
            "ignore_label": self.ignore_label,
            "class_weights": self.class_weights,
            "groups": self.groups,
        }


def cross_entropy(
    labels: Tensor, logits: Tensor, valid: Tensor, groups: Sequence[Sequence[int]] = ()
) -> Tensor:
    """Cross entropy of each pixel with its label, 0 where it is not valid.

    In a third of the time of Keras's own: one softmax serves both the losses and their gradient.

    Args:
        labels: int32 `(P,)`, 0..C - 1; C + i for a pixel of any class of the i-th group.
        logits: float32 `(P, C)`.
        valid: bool `(P,)`. Pixels that are not valid may have logits that are not finite; neither
            these nor their gradients reach a sum.
        groups: Classes of each group.

    Returns:
        float32 `(P,)`.
    """
    num_classes = logits.shape[-1]
    members = np.zeros((num_classes + len(groups), num_classes), "float32")
    for label, group in enumerate([*([c] for c in range(num_classes)), *groups]):
        members[label, list(group)] = 1

    def within_labels(logits: Tensor) -> Tensor:
        return ops.where(ops.take(members, labels, axis=0) > 0, logits, -math.inf)

    @fused
    def of_labels(probabilities: Tensor, labels: Tensor) -> Tensor:
        return ops.sum(probabilities * ops.take(members, labels, axis=0), axis=-1)

    @fused
    def slopes(probabilities: Tensor, labels: Tensor, true: Tensor, upstream: Tensor) -> Tensor:
        own = multiply_no_nan(1 / true, upstream)[:, None] * ops.take(members, labels, axis=0)
        return multiply_no_nan(probabilities, upstream[:, None] - own)

    @custom_gradient
    def losses_of(logits: Tensor) -> tuple[Tensor, Callable]:
        probabilities = ops.softmax(logits)
        true = of_labels(probabilities, labels)

        def stable_losses() -> Tensor:
            own = ops.logsumexp(within_labels(logits), -1)
            distance = ops.max(logits, axis=-1) - own
            return distance - ops.log(ops.max(probabilities, axis=-1))

        # More passes over all classes, which nearly no batch needs.
        underflows = ops.any(ops.logical_and(valid, true < SMALLEST))
        losses = ops.cond(underflows, stable_losses, lambda: -ops.log(true))

        def gradient(upstream: Tensor) -> Tensor:
            def stable_slopes() -> Tensor:
                slopes = probabilities - ops.softmax(within_labels(logits))
                return multiply_no_nan(slopes, upstream[:, None])

            return ops.cond(
                underflows, stable_slopes, lambda: slopes(probabilities, labels, true, upstream)
            )

        return losses, gradient

    return ops.where(valid, losses_of(logits), 0.0)


def multiply_no_nan(x: Tensor, factor: Tensor) -> Tensor:
    """`x * factor`, and 0 where `factor` is 0, even if `x` is not finite."""
    if keras.backend.backend() != "tensorflow":
        return ops.where(ops.equal(factor, 0), 0.0, x * factor)
    import tensorflow as tf

    return tf.math.multiply_no_nan(x, factor)
