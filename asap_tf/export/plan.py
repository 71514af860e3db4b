"""Which artifacts there are, and what each needs."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from asap_tf.core.errors import UsageError
from asap_tf.core.optional import require

WRITERS = {
    "saved_model": ("asap_tf.export.writers.saved_model", "_saved_model"),
    "litert": ("asap_tf.export.writers.litert", ".tflite"),
    "onnx": ("asap_tf.export.writers.onnx", ".onnx"),
    "openvino": ("asap_tf.export.writers.openvino", ".xml"),
    "tf_trt": ("asap_tf.export.writers.tf_trt", "_tf_trt"),
    "tensorrt": ("asap_tf.export.writers.tensorrt", ".engine"),
    "tensorrt_onnx": ("asap_tf.export.writers.tensorrt_onnx", "_tensorrt.onnx"),
}
"""Module that writes each format, and how its artifacts' names end."""

_ONNX = [("onnx", "onnx"), ("tf2onnx", "onnx"), ("onnxruntime", "onnx")]

PACKAGES = {
    "litert": [("ai_edge_litert", "litert")],
    "onnx": _ONNX,
    "openvino": [*_ONNX, ("openvino", "openvino"), ("nncf", "openvino")],
    "tensorrt": _ONNX,
    "tensorrt_onnx": _ONNX,
}
"""What each format needs beside TensorFlow: modules, and the extras that bring them."""


@dataclass(frozen=True)
class Job:
    """One artifact to be written.

    Attributes:
        kind: A key of `WRITERS`.
        precision: A key of `parity.FLOORS`.
    """

    kind: str
    precision: str

    @property
    def name(self) -> str:
        """Of the file or folder, its ending included."""
        return f"asap_{self.precision}{WRITERS[self.kind][1]}"

    @property
    def writer(self) -> Any:
        """The module that writes it."""
        return importlib.import_module(WRITERS[self.kind][0])


def plan(formats: Sequence[str], precisions: Sequence[str]) -> list[Job]:
    """What to write: every format in those of the precisions that it has.

    Raises:
        UsageError: if there is nothing to write, or a format has none of the precisions.
        AsapError: if a package is missing.
    """
    if not formats:
        raise UsageError("no format: give one or more of --saved-model, --tflite, --onnx, ...")
    jobs = []
    for kind in dict.fromkeys(formats):
        has = importlib.import_module(WRITERS[kind][0]).PRECISIONS
        chosen = [
            Job(kind, precision) for precision in dict.fromkeys(precisions) if precision in has
        ]
        if not chosen:
            raise UsageError(f"{kind} comes in {', '.join(has)}, not in {', '.join(precisions)}")
        jobs += chosen
        for module, extra in PACKAGES.get(kind, ()):
            require(module, extra)
    return jobs
