"""TF-TRT: a SavedModel in which TensorRT engines do the work, for TensorFlow 2.17 on a GPU."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from asap_tf.core.errors import AsapError, first_line
from asap_tf.core.system import stderr_silenced
from asap_tf.export.graph import EVERYWHERE, DeployedGraph, calibration_batches
from asap_tf.export.rewrites.upsampling import matmul_upsampling
from asap_tf.export.writers import saved_model
from asap_tf.saving.metadata import METADATA_NAME


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
            with stderr_silenced():
                _convert(plain, path, precision, calibration_batches(graph, frames))
        except AsapError:
            raise
        except Exception as error:
            raise AsapError(f"TF-TRT cannot convert the graph: {first_line(error)}") from error
    (path / METADATA_NAME).write_text(json.dumps(metadata, indent=1), encoding="utf-8")


def tf_trt_graph(graph: DeployedGraph) -> DeployedGraph:
    """The same network of operators that TF-TRT can put into one engine; `converters` checks it."""
    return graph.rewritten((*EVERYWHERE, matmul_upsampling))


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
