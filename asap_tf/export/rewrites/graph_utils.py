"""Questions to a functional model that rewrites ask."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
from keras import layers

from asap_tf.layers import Conv2D

Replacements = dict[str, layers.Layer]
"""What is called instead of a layer, by the layer's name."""

Rewrite = Callable[[keras.Model, Replacements], Replacements]
"""From a model and the replacements made so far to further ones."""


def is_linear_conv(layer: Any) -> bool:
    """Whether a layer is a convolution, depthwise or not, without an activation."""
    return (
        type(layer) in (layers.Conv2D, Conv2D, layers.DepthwiseConv2D)
        and layer.activation is keras.activations.linear
    )


def is_relu(layer: Any) -> bool:
    """Whether a layer is a plain ReLU."""
    if isinstance(layer, layers.ReLU):
        return not layer.negative_slope
    return isinstance(layer, layers.Activation) and layer.activation is keras.activations.relu


def consumers(layer: Any, model: keras.Model) -> list[Any]:
    """The layers of `model` that take the output of `layer`; not those of auxiliary heads."""
    takers = [node.operation for node in layer._outbound_nodes]
    return [taker for taker in takers if taker in model.operations]


def logits_layer(model: keras.Model) -> Any:
    """The layer that gives the logits of a model without auxiliary outputs."""
    return model.output._keras_history.operation


def producer(layer: layers.Layer) -> Any:
    """The layer whose output `layer` takes."""
    return layer.input._keras_history.operation
