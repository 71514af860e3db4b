"""Optimizers and their schedule, as recipes ask for them."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from asap_tf.layers.replicas import replica_context
from asap_tf.layers.tensor import Tensor
from asap_tf.training import sections


class PolyDecay(keras.optimizers.schedules.LearningRateSchedule):
    """Linear warm-up, then polynomial decay to 0: `rate * (1 - step / steps) ** power`.

    Args:
        rate: Learning rate that warm-up and decay multiply by 0..1.
        steps: Steps of the whole training, warm-up included.
        power: Exponent of the decay.
        warmup_steps: Steps of linear growth from `rate / warmup_steps`.

    Examples:
        >>> float(PolyDecay(0.01, steps=100)(50))
        0.0053588676
    """

    def __init__(self, rate: float, steps: int, power: float = 0.9, warmup_steps: int = 0):
        super().__init__()
        self.rate = rate
        self.steps = steps
        self.power = power
        self.warmup_steps = warmup_steps

    def __call__(self, step: Tensor) -> Tensor:
        step = ops.cast(step, "float32")
        left = ops.clip(1.0 - step / self.steps, 0.0, 1.0)
        warmth = ops.minimum((step + 1.0) / max(1, self.warmup_steps), 1.0)
        return self.rate * warmth * ops.power(left, self.power)


class EMA:
    """Keeps trained weights and their moving averages apart, and clips the whole gradient.

    Keras replaces the weights by their averages at the end of `fit`. A training calls `fit` once an
    epoch, and the next epoch has to start from the trained weights. Where several devices share a
    batch, Keras clips each one's part of the gradient before it adds them up.
    """

    schedule: PolyDecay

    def finalize_variable_values(self, var_list: list) -> None:
        """Does nothing: see the class."""

    def _clip_gradients(self, grads: list) -> list:
        context = replica_context()
        if context is None or not self.global_clipnorm:  # type: ignore[attr-defined]
            return super()._clip_gradients(grads)  # type: ignore[misc]
        clipped = super()._clip_gradients(context.all_reduce("SUM", grads))  # type: ignore[misc]
        return [gradient / context.num_replicas_in_sync for gradient in clipped]

    def apply_averages(self, variables: list) -> None:
        """Overwrites the trained `variables` by their averages, if there are any."""
        super().finalize_variable_values(variables)  # type: ignore[misc]


class SGD(EMA, keras.optimizers.SGD):
    """SGD whose weight decay is part of the gradient, and so of the momentum.

    Keras decouples it, which with momentum 0.9 makes the same number ten times weaker than in
    the framework of the paper and its rivals.

    Args:
        decay: Factor of the weights that is added to their gradient.
        **kwargs: See `keras.optimizers.SGD`.
    """

    def __init__(self, *args: Any, decay: float = 0.0, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.decay = decay

    def update_step(self, gradient: Tensor, variable: Any, learning_rate: Tensor) -> None:
        if self.decay and self._use_weight_decay(variable):
            gradient = gradient + self.decay * ops.cast(variable, gradient.dtype)
        super().update_step(gradient, variable, learning_rate)


class AdamW(EMA, keras.optimizers.AdamW):
    """AdamW, weight decay decoupled."""


def build_optimizer(settings: sections.Optimizer, steps: int) -> SGD | AdamW:
    """The optimizer of a recipe.

    Args:
        settings: Section of the recipe.
        steps: Steps of the whole training.

    Returns:
        An optimizer that decays neither norms nor biases.
    """
    schedule = PolyDecay(settings.learning_rate, steps, settings.power, settings.warmup_steps)
    shared: dict[str, Any] = {
        "learning_rate": schedule,
        "global_clipnorm": settings.clip_norm,
        "use_ema": settings.ema is not None,
        "ema_momentum": settings.ema or 0.99,
    }
    optimizer: SGD | AdamW
    if settings.name == "adamw":
        optimizer = AdamW(weight_decay=settings.weight_decay, **shared)
    else:
        optimizer = SGD(momentum=settings.momentum, decay=settings.weight_decay, **shared)
    optimizer.schedule = schedule
    optimizer.exclude_from_weight_decay(var_names=["gamma", "beta", "bias"])
    return optimizer
