"""TF-TRT: a SavedModel in which TensorRT engines do the work, for TensorFlow 2.17 on a GPU."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import layers

from asap_tf.errors import AsapError, first_line
from asap_tf.export import saved_model
from asap_tf.export.graph import EVERYWHERE, DeployedGraph, calibration_batches
from asap_tf.export.surgery import StandIns
from asap_tf.layers import SimplePyramid
from asap_tf.layers.blocks import Tensor, Upsample
from asap_tf.runtime.metadata import METADATA_NAME
from asap_tf.runtime.quiet import hushed

PRECISIONS = ("fp32", "fp16", "int8")


def write(
    graph: DeployedGraph,
    precision: str,
    path: Path,
    calibration: Sequence[np.ndarray],
    metadata: dict[str, Any],
) -> None:
    """Writes a SavedModel converted by TF-TRT, with the engines for this GPU in it.

    Args:
        graph: The deployed network; its model is rewritten once more, by `tf_trt_graph`.
        precision: `"fp32"` (without TF32), `"fp16"`, or `"int8"` (what gains nothing by integers
            is float16).
        path: The folder.
        calibration: uint8 `(H, W, 3)` frames at the graph's size; for int8.
        metadata: Written into the folder as `asap_tf.json`.

    Raises:
        AsapError: if TF-TRT cannot do it. Ask `gpu_probe.tensorrt_choice` first, which says what
            is missing.
    """
    # Engines are built on something, be it black.
    frames = calibration or [np.zeros((*graph.size, 3), np.uint8)]
    with tempfile.TemporaryDirectory() as folder:
        plain = Path(folder) / "saved_model"
        saved_model.write(tf_trt_graph(graph), "fp32", plain, (), metadata)
        try:
            with hushed():
                _convert(plain, path, precision, calibration_batches(graph, frames))
        except AsapError:
            raise
        except Exception as error:
            raise AsapError(f"TF-TRT cannot convert the graph: {first_line(error)}") from error
    (path / METADATA_NAME).write_text(json.dumps(metadata, indent=1), encoding="utf-8")


def tf_trt_graph(graph: DeployedGraph) -> DeployedGraph:
    """The same network of operators that TF-TRT can put into one engine; `converters` checks it."""
    return graph.rewritten((*EVERYWHERE, matmul_upsampling))


def matmul_upsampling(model: keras.Model, so_far: StandIns) -> StandIns:
    """Bilinear resizing as two products of matrices.

    TF-TRT leaves `ResizeBilinear` to TensorFlow unless it aligns corners, which gives something
    else, and each one left out would cut the network in two.
    """
    stand_ins: StandIns = {}
    for layer in model.layers:
        known = so_far.get(layer.name, layer)
        if isinstance(known, Upsample):
            stand_ins[layer.name] = MatmulUpsample(known.factor, name=layer.name)
        elif isinstance(layer, SimplePyramid):
            twin = SimplePyramid.from_config(layer.get_config())
            twin.laterals, twin.double, twin.built = layer.laterals, MatmulUpsample(2), True
            stand_ins[layer.name] = twin
    return stand_ins


class MatmulUpsample(layers.Layer):
    """See `matmul_upsampling`; for maps of known size."""

    def __init__(self, factor: int, **kwargs: Any):
        super().__init__(**kwargs)
        self.factor = factor

    def call(self, inputs: Tensor) -> Tensor:
        import tensorflow as tf

        batch, height, width, channels = inputs.shape
        # Columns first: it is half the work where frames are twice as wide as high.
        x = tf.matmul(interpolation(width, self.factor)[None, None], inputs)
        x = tf.reshape(x, (batch, height, -1))
        x = tf.matmul(interpolation(height, self.factor)[None], x)
        return tf.reshape(x, (batch, height * self.factor, width * self.factor, channels))


def interpolation(length: int, factor: int) -> np.ndarray:
    """Bilinear weights with half-pixel centres, float32 `(length * factor, length)`.

    Example:
        >>> interpolation(2, 2).tolist()
        [[1.0, 0.0], [0.75, 0.25], [0.25, 0.75], [0.0, 1.0]]
    """
    places = np.clip((np.arange(length * factor) + 0.5) / factor - 0.5, 0, length - 1)
    return np.maximum(0, 1 - np.abs(places[:, None] - np.arange(length))).astype(np.float32)


def _convert(plain: Path, path: Path, precision: str, batches: list[np.ndarray]) -> None:
    import tensorflow as tf
    from tensorflow.python.compiler.tensorrt import trt_convert

    def inputs() -> Iterator[dict[str, np.ndarray]]:
        for frames in batches:
            yield {"frames": frames}

    precise = tf.config.experimental.tensor_float_32_execution_enabled()
    tf.config.experimental.enable_tensor_float_32_execution(precision != "fp32")
    try:
        # Dynamic shape means explicit batch here, all that TensorRT 10 has; shapes are fixed.
        converter = trt_convert.TrtGraphConverterV2(
            input_saved_model_dir=str(plain),
            precision_mode=precision.upper(),
            use_calibration=precision == "int8",
            use_dynamic_shape=True,
            dynamic_shape_profile_strategy="Optimal",
        )
        converter.convert(inputs if precision == "int8" else None)
        converter.build(inputs)
        converter.save(str(path))
    finally:
        tf.config.experimental.enable_tensor_float_32_execution(precise)
    if b"TRTEngineOp" not in (path / "saved_model.pb").read_bytes():
        raise AsapError("TF-TRT found nothing in the graph that TensorRT takes")
