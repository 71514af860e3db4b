"""Keras models, at any size, on whichever backend Keras has."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import ops

from asap_tf.core.errors import AsapError
from asap_tf.core.keras_backend import set_threads
from asap_tf.saving.keras_file import load_keras_model
from asap_tf.saving.metadata import read_metadata


class KerasNetwork:
    """A Keras model from frames to logits; fulfils `asap_tf.runtime.Network`.

    Attributes:
        model: The Keras model. What is assigned to its weights counts from the next frame.

    Example:
        >>> segmenter = Segmenter(KerasNetwork(ASAPNet(19, (None, None, 3))), classes)
    """

    format = "keras"

    def __init__(
        self, model: keras.Model, runtime: str = "", metadata: dict[str, Any] | None = None
    ):
        height, width = model.input_shape[1:3]
        self.model = model
        self.size = None if None in (height, width) else (height, width)
        self.num_classes = model.output_shape[-1]
        self.runtime = runtime
        self.metadata = metadata or {}
        self._logits = compiled(model)

    @classmethod
    def open(cls, path: Path, threads: int | None = None) -> KerasNetwork:
        """Opens a `.keras` file.

        Args:
            path: The file.
            threads: For TensorFlow, and for the whole process; None for all cores.

        Raises:
            AsapError: if it is damaged or no segmentation network, or TensorFlow has started
                already with another number of threads.
        """
        runtime = f"Keras {keras.__version__}, {backend_name(threads)}"
        model = load_keras_model(path)
        if isinstance(model.output, dict):
            model = keras.Model(model.inputs, model.get_layer("logits").output, name=model.name)
        if len(model.output_shape) != 4 or model.input_shape[-1] != 3:
            raise AsapError(
                f"{path}: not a segmentation network: it maps {model.input_shape} to "
                f"{model.output_shape}, wanted (N, H, W, 3) to (N, H, W, classes)"
            )
        dtypes = {layer.compute_dtype for layer in model.layers}
        metadata = {
            "precision": "fp32" if dtypes == {"float32"} else "mixed",
            "parameters": model.count_params(),
            **read_metadata(path),
        }
        return cls(model, runtime, metadata)

    def labels(self, frames: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
        """Train ids: the argmax of logits that were resized bilinearly."""
        return np.asarray(label_map(resized(self._logits(_floats(frames)), size)))

    def probabilities(self, frames: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
        """Softmax of logits that were resized bilinearly."""
        return np.asarray(ops.softmax(resized(self._logits(_floats(frames)), size), axis=-1))


def _floats(frames: Any) -> Any:
    return ops.convert_to_tensor(frames, "float32")


def resized(logits: Any, size: tuple[int, ...]) -> Any:
    """Logits at a size, bilinearly."""
    if logits.shape[1:3] == size:
        return logits
    return ops.image.resize(logits, size, interpolation="bilinear")


def label_map(logits: Any) -> Any:
    """Train ids, uint8: the argmax over the classes."""
    return ops.cast(ops.argmax(logits, axis=-1), "uint8")


def compiled(model: keras.Model) -> Any:
    """The model at inference, as one graph of TensorFlow's or JAX's; as it is elsewhere.

    Only sizes of frames make another graph, not those that labels are wanted in.
    """

    def logits(frames: Any) -> Any:
        return model(frames, training=False)

    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        return tf.function(logits, autograph=False, reduce_retracing=True)
    if backend == "jax":
        import jax

        @jax.jit
        def graph(weights: list[Any], frames: Any) -> Any:
            with keras.StatelessScope(zip(model.variables, weights, strict=True)):
                return logits(frames)

        return lambda frames: graph([v.value for v in model.variables], frames)
    return logits


def backend_name(threads: int | None) -> str:
    """Keras's backend for people, `"JAX 0.11.2, NVIDIA H100 80GB HBM3"`, with so many threads.

    Raises:
        AsapError: if the number of threads cannot be set, or not any more.
    """
    backend = keras.backend.backend()
    if backend == "tensorflow":
        return set_threads(threads)
    if threads:
        raise AsapError(f"threads cannot be set on Keras's {backend} backend")
    if backend == "jax":
        import jax

        return f"JAX {jax.__version__}, {jax.devices()[0].device_kind}"
    return f"{backend} backend"
