"""Functions in one pass, and with gradients of their own."""

from __future__ import annotations

from collections.abc import Callable

import keras
from keras import ops

from asap_tf.layers.tensor import Tensor


def fused(function: Callable) -> Callable:
    """A function that TensorFlow computes in one pass over its arguments, by XLA."""
    if keras.backend.backend() != "tensorflow":
        return function
    import tensorflow as tf

    return tf.function(function, jit_compile=True, autograph=False)


def custom_gradient(function: Callable[[Tensor], tuple[Tensor, Callable]]) -> Callable:
    """`keras.ops.custom_gradient` whose gradient has the same arguments on every backend.

    Args:
        function: From a tensor to its value and the gradient, a function of the upstream one alone,
            which some backends give by position and others by name, after arguments of their own.
    """

    def with_any_arguments(x: Tensor) -> tuple[Tensor, Callable]:
        value, gradient = function(x)

        def of_upstream(*arguments: Tensor, upstream: Tensor | None = None) -> Tensor:
            return gradient(arguments[0] if upstream is None else upstream)

        return value, of_upstream

    return ops.custom_gradient(with_any_arguments)
