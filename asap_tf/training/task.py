"""The network as a training sees it: with its auxiliary heads, its losses and its teacher."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from asap_tf.core.errors import UsageError
from asap_tf.data.dataset import Dataset
from asap_tf.layers.losses import OhemCrossEntropy
from asap_tf.models import create_model
from asap_tf.training.distillation import load_teacher, mean_output, with_teacher
from asap_tf.training.recipe import Recipe


def build_network(recipe: Recipe, dataset: Dataset, weights: str | None) -> keras.Model:
    """The network with its auxiliary heads, for crops of the recipe's size."""
    return create_model(
        recipe.model.name,
        len(dataset.classes),
        (*recipe.augment.crop, 3),
        weights=weights,
        aux_heads=True,
        **recipe.model.options(),
    )


def compile_model(
    network: keras.Model,
    recipe: Recipe,
    dataset: Dataset,
    optimizer: keras.optimizers.Optimizer,
    class_weights: list[float] | None,
) -> keras.Model:
    """The network with its total loss, L = Lpred + alpha L1 + beta L2, and its teacher if any."""
    settings = recipe.loss
    ohem = OhemCrossEntropy(settings.threshold, settings.min_kept, class_weights=class_weights)
    losses: dict[str, Any] = dict.fromkeys(network.output, ohem)
    loss_weights = {"logits": 1.0, "aux3": settings.aux3, "aux4": settings.aux4}
    if recipe.distill is not None:
        teacher = load_teacher(recipe.distill.teacher, dataset)
        network = with_teacher(network, teacher, recipe.distill.features > 0)
        weights = {"distilled": recipe.distill.weight, "features": recipe.distill.features}
        for name, weight in weights.items():
            if name in network.output:
                losses[name], loss_weights[name] = mean_output, weight
    network.compile(optimizer, loss=losses, loss_weights=loss_weights)
    network.optimizer.build(network.trainable_variables)
    if keras.backend.backend() == "jax":
        # Else the first fit would read frames only to see the shape of a batch.
        blank = np.zeros((1, *recipe.augment.crop, 3), np.uint8)
        network._symbolic_build(data_batch=(blank, dict.fromkeys(network.output, blank[..., 0])))
    return network


def resolve_class_weights(
    wanted: str | tuple[float, ...] | None, pixels: np.ndarray
) -> list[float] | None:
    """One factor per class, or None.

    Args:
        wanted: The recipe's `loss.class_weights`.
        pixels: Pixels of each class in the training masks.

    Raises:
        UsageError: if a list has another length than there are classes.
    """
    if wanted is None:
        return None
    if wanted == "balanced":
        weights = 1 / np.log(1.1 + pixels / pixels.sum())
        return (weights / weights.mean()).tolist()
    if len(wanted) != len(pixels):
        raise UsageError(
            f"loss.class_weights: {len(wanted)} factors, but the dataset has {len(pixels)} classes"
        )
    return [float(w) for w in wanted]
