"""Weights of a narrow network for a wider one of the same function."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import keras

Shape = tuple[int, ...]


def widened(
    layer: keras.layers.Layer, shapes: Sequence[Shape], rng: np.random.Generator
) -> list[np.ndarray] | None:
    """Weights of a layer for more channels, with which the network computes what it did.

    Channels are repeated, all in the same order, and what reads a repeated channel shares its
    weight among the copies at random, so that they learn apart. Exact where maps of one width meet
    in sums only, as in ASAP's backbones.

    Args:
        layer: Layer of the narrow network.
        shapes: Shapes of the same layer's weights in the wide one.
        rng: Source of the shares.

    Returns:
        Arrays of these shapes; None if they are not the layer's with more channels.

    Source: Chen et al. 2016, Net2Net.
    """
    from keras import layers

    values = layer.get_weights()
    depthwise = isinstance(layer, layers.DepthwiseConv2D)
    if len(values) != len(shapes) or not all(map(_grows, values, shapes)):
        return None
    return [_repeated(v, s, depthwise, rng) for v, s in zip(values, shapes, strict=True)]


def _grows(value: np.ndarray, shape: Shape) -> bool:
    """Whether a shape has the same kernel as a weight and no fewer channels."""
    if value.ndim != len(shape) or value.ndim not in (1, 4):
        return False
    channels = 2 if value.ndim == 4 else 0
    return value.shape[:channels] == shape[:channels] and all(
        old <= new for old, new in zip(value.shape[channels:], shape[channels:], strict=True)
    )


def _repeated(
    value: np.ndarray, shape: Shape, depthwise: bool, rng: np.random.Generator
) -> np.ndarray:
    """A weight with its channels repeated to a shape."""
    if value.ndim == 1 or depthwise:
        axis = 0 if value.ndim == 1 else 2
        return np.take(value, np.arange(shape[axis]) % value.shape[axis], axis)
    narrow, wide = value.shape[2], shape[2]
    source = np.arange(wide) % narrow
    value = np.take(value, np.arange(shape[3]) % value.shape[3], 3)
    shares = rng.uniform(size=(wide, shape[3]))
    totals = np.zeros((narrow, shape[3]))
    np.add.at(totals, source, shares)
    return (np.take(value, source, 2) * (shares / totals[source])).astype(value.dtype)
