"""A Keras model compiled by XLA, to hold TensorRT against on a GPU."""

from __future__ import annotations

import tensorflow as tf

from asap_tf.runtime.keras_network import KerasNetwork


class XLANetwork(KerasNetwork):
    """A Keras model whose labels are compiled by XLA, once for each size they are asked for at.

    Args:
        network: The model as it is, on TensorFlow.
    """

    def __init__(self, network: KerasNetwork):
        super().__init__(network.model, f"{network.runtime}, XLA", network.metadata)
        self._labels = tf.function(self._labels_eager, autograph=False, jit_compile=True)
