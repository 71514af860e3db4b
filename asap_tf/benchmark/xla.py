"""A Keras model compiled by XLA, to hold TensorRT against on a GPU."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from asap_tf.runtime.keras_network import KerasNetwork, label_map, resized


class XLANetwork(KerasNetwork):
    """A Keras model whose labels are compiled by XLA, once for each size they are asked for at.

    Args:
        network: The model as it is, on TensorFlow.
    """

    def __init__(self, network: KerasNetwork):
        super().__init__(network.model, f"{network.runtime}, XLA", network.metadata)

        @tf.function(autograph=False, jit_compile=True)
        def labels(frames: tf.Tensor, height: int, width: int) -> Any:
            logits = self.model(tf.cast(frames, tf.float32), training=False)
            return label_map(resized(logits, (height, width)))

        self._compiled_labels = labels

    def _labels(self, frames: np.ndarray, size: tuple[int, ...]) -> tf.Tensor:
        return self._compiled_labels(frames, *size)
