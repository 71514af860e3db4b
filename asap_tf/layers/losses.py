"""Online hard example mining for segmentation (paper, Eq. 5 and its reference 18)."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import keras
from keras import ops

from asap_tf.layers.replicas import replica_context
from asap_tf.layers.tensor import Tensor

SMALLEST = 1e-30
"""Probability below which float32 soon has none left, and a loss is found without it."""


@keras.saving.register_keras_serializable("asap_tf")
class OhemCrossEntropy(keras.losses.Loss):
    """Mean cross entropy of the hard pixels of a batch.

    Hard is a pixel whose true class has a probability under `threshold`. If they are fewer than
    `min_kept` of the valid pixels (rounded up), the hardest of the valid ones fill up that share;
    pixels equally hard at the edge share the places that are left.

    Where several devices share a batch, the hard pixels are those of the whole of it.

    Args:
        threshold: Probability of the true class under which a pixel is hard, in (0, 1].
        min_kept: Share of the valid pixels that always counts, in (0, 1]; 1 is plain cross
            entropy.
        ignore_label: Train id that takes no part.
        class_weights: One factor per class for the loss of its pixels, or None. Which pixels
            count as hard does not depend on it.

    `y_true`: train ids `(N, H, W)`, any integer type. `y_pred`: logits `(N, H, W, C)`, any float
    type. The result is one float32 scalar, computed in float32; 0 for a batch without a valid
    pixel, nan for one with a label that is no class.

    Raises:
        ValueError: if `threshold` or `min_kept` is out of its range.

    Example:
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

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        labels = ops.reshape(ops.cast(y_true, "int32"), (-1,))
        logits = ops.reshape(ops.cast(y_pred, "float32"), (-1, y_pred.shape[-1]))
        valid = ops.not_equal(labels, self.ignore_label)
        is_class = ops.logical_and(labels >= 0, labels < y_pred.shape[-1])
        wrong = ops.logical_and(valid, ops.logical_not(is_class))
        labels = ops.where(is_class, labels, 0)
        losses = ops.where(wrong, math.nan, cross_entropy(labels, logits, valid))

        share, divisor = self.shares(ops.stop_gradient(losses), valid)
        if self.class_weights is not None:
            losses = losses * ops.take(ops.convert_to_tensor(self.class_weights), labels)
        return ops.sum(share * losses) / divisor

    def shares(self, losses: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
        """How much of each pixel counts, and what the sum of the losses is divided by.

        Of a batch that is split over devices, Keras adds up the parts' losses, if they are scalars.
        """
        context = replica_context()
        if context is None:
            share = ops.stop_gradient(self.pixel_share(losses, valid))
            return share, ops.maximum(ops.sum(share), 1.0)
        everywhere = context.all_gather(ops.cast(valid, "int32"), 0)
        share = self.pixel_share(context.all_gather(losses, 0), ops.cast(everywhere, "bool"))
        divisor = ops.maximum(ops.sum(share), 1.0)
        pixels, own = ops.size(losses), context.replica_id_in_sync_group
        return ops.stop_gradient(share[own * pixels : (own + 1) * pixels]), divisor

    def pixel_share(self, losses: Tensor, valid: Tensor) -> Tensor:
        """How much of each pixel counts: 1 if it is kept, 0 if not, in between at a tie."""
        count = ops.sum(ops.cast(valid, "float32"))
        kept = ops.ceil(self.min_kept * count)
        hard = ops.logical_and(valid, losses > -math.log(self.threshold))
        hard = ops.cast(hard, "float32")

        def hardest() -> Tensor:
            ranked = ops.top_k(losses, self.largest_kept(losses))[0]
            edge = ops.take(ranked, ops.maximum(ops.cast(kept, "int32") - 1, 0))
            above = ops.cast(losses > edge, "float32")
            tied = ops.cast(ops.logical_and(valid, ops.equal(losses, edge)), "float32")
            places = (kept - ops.sum(above)) / ops.maximum(ops.sum(tied), 1.0)
            return above + tied * places

        # Sorting is dear and early in training never needed.
        return ops.cond(ops.sum(hard) < kept, hardest, lambda: hard)

    def largest_kept(self, losses: Tensor) -> Tensor | int:
        """Upper bound of the number of kept pixels, static where the batch's size is."""
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
        }


def cross_entropy(labels: Tensor, logits: Tensor, valid: Tensor) -> Tensor:
    """Cross entropy of each pixel with its label, 0 where it is not valid.

    Keras's own takes twice the time: here one softmax serves both the losses and their gradient.

    Args:
        labels: int32 `(P,)`, 0..C - 1.
        logits: float32 `(P, C)`.
        valid: bool `(P,)`. What is not may hold anything, infinities included; none of it, nor of
            its gradient, reaches a sum.

    Returns:
        float32 `(P,)`.
    """

    @ops.custom_gradient
    def losses_of(logits: Tensor) -> tuple[Tensor, Callable]:
        probabilities = ops.softmax(logits)
        true = at_labels(probabilities, labels)

        def by_the_likeliest() -> Tensor:
            distance = ops.max(logits, axis=-1) - at_labels(logits, labels)
            return distance - ops.log(ops.max(probabilities, axis=-1))

        # Nearly every batch is spared two more passes over all classes.
        lost = ops.any(ops.logical_and(valid, true < SMALLEST))
        losses = ops.cond(lost, by_the_likeliest, lambda: -ops.log(true))

        def gradient(*arguments: Tensor, upstream: Tensor | None = None) -> Tensor:
            upstream = arguments[0] if upstream is None else upstream
            slopes = probabilities - ops.one_hot(labels, logits.shape[-1])
            return times_or_zero(slopes, upstream[:, None])

        return losses, gradient

    return ops.where(valid, losses_of(logits), 0.0)


def at_labels(values: Tensor, labels: Tensor) -> Tensor:
    """Each pixel's value of its own class: `(P,)` of `(P, C)` and int32 `(P,)`."""
    if keras.backend.backend() != "tensorflow":
        # JAX splits this over devices; with places in the flat array, each would need all pixels.
        return ops.take_along_axis(values, labels[:, None], axis=-1)[:, 0]
    pixels, num_classes = ops.shape(values)
    return ops.take(ops.reshape(values, (-1,)), ops.arange(pixels) * num_classes + labels)


def times_or_zero(x: Tensor, factor: Tensor) -> Tensor:
    """`x * factor`, and 0 where `factor` is, whatever x."""
    if keras.backend.backend() != "tensorflow":
        return ops.where(ops.equal(factor, 0), 0.0, x * factor)
    import tensorflow as tf

    return tf.math.multiply_no_nan(x, factor)
