"""ONNX by TensorRT's rules, for a bundle: engines are built from it on the machine with the GPU."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from asap_tf.export.graph import Deployment
from asap_tf.export.rewrites.graph_utils import Rewrite
from asap_tf.export.writers.onnx import REWRITES, onnx_model, save


def write(
    deployment: Deployment,
    precision: str,
    path: Path,
    calibration: Sequence[np.ndarray],
    metadata: dict[str, Any],
    rewrites: Sequence[Rewrite] = REWRITES,
) -> None:
    """Writes an `.onnx` file as `asap_tf.export.writers.onnx` does, int8 by TensorRT's rules."""
    model = onnx_model(deployment.graph(rewrites), precision, calibration, for_tensorrt=True)
    save(model, path, metadata)
