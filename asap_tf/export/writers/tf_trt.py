"""TF-TRT: a SavedModel in which TensorRT engines do the work, for TensorFlow 2.17 on a GPU."""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from asap_tf.core.errors import AsapError, first_line
from asap_tf.core.system import stderr_silenced
from asap_tf.export.graph import EVERYWHERE, Deployment
from asap_tf.export.rewrites.graph_utils import Rewrite
from asap_tf.export.rewrites.upsampling import matmul_upsampling
from asap_tf.export.writers import saved_model
from asap_tf.saving import METADATA_NAME

REWRITES = (*EVERYWHERE, matmul_upsampling)
"""What leaves only operators that TF-TRT can put into one engine."""


def write(
    deployment: Deployment,
    precision: str,
    path: Path,
    calibration: Sequence[np.ndarray],
    metadata: dict[str, Any],
    rewrites: Sequence[Rewrite] = REWRITES,
) -> None:
    """Writes a SavedModel converted by TF-TRT, with the engines for this GPU in it.

    Its metadata is the file `asap_tf.json` in the folder, and gets a `note` of the engines; fp32 is
    without TF32, and what gains nothing by int8 is float16 there. Ask `gpu_probe.tensorrt_choice`
    first, which says what is missing. Arguments as of all writers.
    """
    # Engines are built on something, be it black.
    frames = calibration or [np.zeros((*deployment.size, 3), np.uint8)]
    with tempfile.TemporaryDirectory() as folder:
        plain = Path(folder) / "saved_model"
        saved_model.write(deployment, "fp32", plain, (), metadata, rewrites)
        try:
            with stderr_silenced():
                batches = deployment.graph(rewrites).batches(frames)
                metadata["note"] = _convert(plain, path, precision, batches)
        except AsapError:
            raise
        except Exception as error:
            raise AsapError(f"TF-TRT cannot convert the graph: {first_line(error)}") from error
    (path / METADATA_NAME).write_text(json.dumps(metadata, indent=1), encoding="utf-8")


def _convert(plain: Path, path: Path, precision: str, batches: list[np.ndarray]) -> str:
    """Converts a SavedModel; says how many engines there are, and what is in none."""
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
        function = converter.convert(inputs if precision == "int8" else None)
        converter.build(inputs)
        converter.save(str(path))
    finally:
        tf.config.experimental.enable_tensor_float_32_execution(precise)
    kinds = Counter(node.op for node in function.graph.as_graph_def().node)
    engines = kinds.pop("TRTEngineOp", 0)
    if not engines:
        raise AsapError("TF-TRT found nothing in the graph that TensorRT takes")
    outside = ", ".join(kind for kind in kinds.elements() if kind not in ("Const", "Placeholder"))
    return f"{engines} TensorRT engine{'s' * (engines != 1)}; left to TensorFlow: {outside}"
