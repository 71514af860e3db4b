"""BatchNorm folded into convolutions."""

from __future__ import annotations

from typing import TypeVar

import keras
import numpy as np
from keras import layers

from asap_tf.export.rewrites.graph_utils import Replacements, consumers, is_linear_conv, producer
from asap_tf.layers import StripAttention

Convolution = TypeVar("Convolution", layers.Conv2D, layers.DepthwiseConv2D)


def fold_batch_norms(model: keras.Model, replaced: Replacements) -> Replacements:
    """Every BatchNorm disappears into the convolution before it.

    Gain: not measured; converters do it too, but not before other rewrites look at the kernels.
    """
    replacements: Replacements = {}
    for layer in model.layers:
        if isinstance(layer, StripAttention):
            replacements[layer.name] = _without_batch_norm(layer)
        elif isinstance(layer, layers.BatchNormalization):
            before = producer(layer)
            if is_linear_conv(before) and consumers(before, model) == [layer]:
                replacements[before.name] = folded_conv(before, layer)
                replacements[layer.name] = layers.Identity(name=layer.name)
    return replacements


def folded_conv(conv: Convolution, norm: layers.BatchNormalization) -> Convolution:
    """One convolution that gives what `norm(conv(x))` gives at inference."""
    scale = np.array(norm.gamma) / np.sqrt(np.array(norm.moving_variance) + norm.epsilon)
    bias = np.array(conv.bias) if conv.use_bias else 0
    folded = type(conv).from_config({**conv.get_config(), "use_bias": True})
    kernel = np.array(conv.kernel)
    folded.build((None, None, None, kernel.shape[2] * getattr(conv, "groups", 1)))
    # A depthwise kernel's last two axes are the output's channels, another's last one is.
    axes = kernel.shape[2:] if isinstance(conv, layers.DepthwiseConv2D) else (-1,)
    shift = np.array(norm.beta) + (bias - np.array(norm.moving_mean)) * scale
    folded.set_weights([kernel * scale.reshape(axes), shift])
    return folded


def _without_batch_norm(layer: StripAttention) -> StripAttention:
    twin = StripAttention.from_config(layer.get_config())
    twin.projections = {
        name: (folded_conv(conv, norm), layers.Identity())
        for name, (conv, norm) in layer.projections.items()
    }
    twin.built = True
    return twin
