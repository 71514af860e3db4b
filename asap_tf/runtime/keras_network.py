"""Keras models, at any size, on whichever backend Keras has."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import ops

from asap_tf.core.errors import AsapError
from asap_tf.core.keras_backend import set_backend_threads, uses_tensorflow
from asap_tf.core.resize import MOST_LOGITS, bands, resize_frames
from asap_tf.core.sizes import PADDING, padded
from asap_tf.models.operations import count_operations
from asap_tf.runtime.network import Network
from asap_tf.saving import load_keras_model, read_metadata


class KerasNetwork(Network):
    """A Keras model from frames to logits.

    Args:
        model: The model. What is assigned to its weights counts from the next frame.
        runtime: Keras and its backend for people.
        metadata: Metadata embedded in the file.

    Examples:
        >>> segmenter = Segmenter(KerasNetwork(ASAPNet(19, (None, None, 3))), classes)
    """

    format = "keras"
    batch = None

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
        runtime = f"Keras {keras.__version__}, {set_backend_threads(threads)}"
        model = load_keras_model(path)
        if model.aux_outputs:
            model = model.inference_model()
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

    def labels(
        self, frames: np.ndarray, size: tuple[int, ...], out: np.ndarray | None = None
    ) -> np.ndarray:
        if size[0] * size[1] * self.model.output_shape[-1] <= MOST_LOGITS:
            labels = np.asarray(self._labels(self._sized(frames), size))
            if out is None:
                return labels
            np.copyto(out, labels)
            return out
        result = np.empty((len(frames), *size), np.uint8) if out is None else out
        for frame, target in zip(frames, result, strict=True):
            for rows, logits in self._resized_bands(frame, size):
                target[rows] = label_map(logits)[0]
        return result

    def probabilities(self, frames: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
        return np.asarray(ops.softmax(self._resized_logits(self._sized(frames), size), axis=-1))

    def logit_bands(
        self, frame: np.ndarray, size: tuple[int, ...]
    ) -> Iterator[tuple[slice, np.ndarray]]:
        for rows, logits in self._resized_bands(frame, size):
            yield rows, np.asarray(logits)[0]

    def operations(self, size: tuple[int, int]) -> dict[str, Any]:
        return count_operations(self.model, size).to_dict() if uses_tensorflow() else {}

    def _sized(self, frames: np.ndarray) -> np.ndarray:
        return resize_frames(frames, self.size) if self.size else frames

    def _labels(self, frames: np.ndarray, size: tuple[int, ...]) -> Any:
        return label_map(self._resized_logits(frames, size))

    def _resized_logits(self, frames: np.ndarray, size: tuple[int, ...]) -> Any:
        return resized(self._logits_of(frames), size)

    def _resized_bands(
        self, frame: np.ndarray, size: tuple[int, ...]
    ) -> Iterator[tuple[slice, Any]]:
        """The logits of one frame at a size, part by part: rows, and their `(1, rows, W, C)`."""
        logits = ops.cast(self._logits_of(self._sized(frame[np.newaxis])), "float32")
        if logits.shape[1] == size[0]:
            yield slice(0, size[0]), resized(logits, size)
            return
        for band in bands(logits.shape[1], size, logits.shape[-1], np.float32):
            rows = logits[:, band.source]
            wide = resized(rows, (rows.shape[1], size[1]))
            above, below = (ops.take(wide, places, axis=1) for places in (band.above, band.below))
            yield band.rows, above + (below - above) * band.weight

    def _logits_of(self, frames: np.ndarray) -> Any:
        """Logits of frames of any size, padded for the network."""
        height, width = frames.shape[1:3]
        whole = padded((height, width))
        if whole == (height, width):
            return self._logits(ops.convert_to_tensor(frames, "float32"))
        margins = ((0, 0), (0, whole[0] - height), (0, whole[1] - width), (0, 0))
        frames = np.pad(frames, margins, constant_values=PADDING)
        logits = self._logits(ops.convert_to_tensor(frames, "float32"))
        rows, columns = (
            round(side * given / full)
            for side, given, full in zip(logits.shape[1:3], (height, width), whole, strict=True)
        )
        return logits[:, :rows, :columns]


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
