"""ONNX Runtime: `.onnx` files on the processor."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from asap_tf.core.optional import require
from asap_tf.core.system import available_cores, thread_count
from asap_tf.runtime.network import (
    FixedNetwork,
    Signature,
    TensorSpec,
    signature_of,
)
from asap_tf.saving import parse_metadata
from asap_tf.saving.onnx_file import read_onnx

METADATA_KEY = "asap_tf"
"""Of the metadata among the properties of an ONNX model."""

_ERRORS_ONLY = 3


class ONNXNetwork(FixedNetwork):
    """An exported network in ONNX Runtime."""

    format = "onnx"

    def __init__(self, session: Any, signature: Signature, runtime: str, metadata: dict[str, Any]):
        super().__init__(signature, runtime, metadata)
        self._session = session
        self._input = session.get_inputs()[0].name

    @classmethod
    def open(cls, path: Path, threads: int | None = None) -> ONNXNetwork:
        """Opens an `.onnx` file.

        Args:
            path: The file.
            threads: Processor threads; None for all cores.

        Raises:
            AsapError: if ONNX Runtime is not installed, or the file is no segmentation network.
        """
        onnxruntime = require("onnxruntime", "onnx")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads or available_cores()
        options.log_severity_level = _ERRORS_ONLY
        session = onnxruntime.InferenceSession(
            read_onnx(path), options, providers=["CPUExecutionProvider"]
        )
        takes, gives = map(_tensor, session.get_inputs()), map(_tensor, session.get_outputs())
        signature = signature_of(path, list(takes), list(gives))
        text = session.get_modelmeta().custom_metadata_map.get(METADATA_KEY)
        metadata = parse_metadata(text, f"{path}: {METADATA_KEY} in it") if text else {}
        runtime = (
            f"ONNX Runtime {onnxruntime.__version__}, CPU, "
            f"{thread_count(options.intra_op_num_threads)}"
        )
        return cls(session, signature, runtime, metadata)

    def run(self, frames: np.ndarray) -> np.ndarray:
        return self._session.run(None, {self._input: frames})[0]


def _tensor(argument: Any) -> TensorSpec:
    dtype = argument.type.removeprefix("tensor(").removesuffix(")")
    return TensorSpec(argument.name, {"float": "float32"}.get(dtype, dtype), argument.shape)
