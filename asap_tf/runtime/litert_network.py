"""LiteRT: `.tflite` files on the processor, through XNNPACK."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from asap_tf.core.optional import require
from asap_tf.core.system import available_cores, stderr_silenced, thread_count
from asap_tf.runtime.network import (
    FixedNetwork,
    Signature,
    TensorSpec,
    signature_of,
)
from asap_tf.saving import METADATA_NAME, parse_metadata


class LiteRTNetwork(FixedNetwork):
    """An exported network in LiteRT."""

    format = "litert"
    exclusive = True

    def __init__(
        self, interpreter: Any, signature: Signature, runtime: str, metadata: dict[str, Any]
    ):
        super().__init__(signature, runtime, metadata)
        self._interpreter = interpreter
        self._input = interpreter.get_input_details()[0]["index"]
        output = interpreter.get_output_details()[0]
        self._output = output["index"]
        self._shared = np.empty(output["shape"], output["dtype"])

    @classmethod
    def open(cls, path: Path, threads: int | None = None) -> LiteRTNetwork:
        """Opens a `.tflite` file.

        Args:
            path: The file.
            threads: Processor threads; None for all cores.

        Raises:
            AsapError: if LiteRT is not installed, or the file is no segmentation network.
        """
        litert = require("ai_edge_litert.interpreter", "litert")
        threads = threads or available_cores()
        with stderr_silenced():
            interpreter = litert.Interpreter(str(path), num_threads=threads)
            takes = map(_tensor, interpreter.get_input_details())
            gives = map(_tensor, interpreter.get_output_details())
            signature = signature_of(path, list(takes), list(gives))
            interpreter.allocate_tensors()
        runtime = f"LiteRT {version('ai-edge-litert')}, XNNPACK, {thread_count(threads)}"
        return cls(interpreter, signature, runtime, _embedded(path))

    def run(self, frames: np.ndarray) -> np.ndarray:
        return self.run_shared(frames).copy()

    def run_shared(self, frames: np.ndarray) -> np.ndarray:
        self._interpreter.set_tensor(self._input, frames)
        self._interpreter.invoke()
        # A view of the tensor itself must be gone before the interpreter can run again.
        np.copyto(self._shared, self._interpreter.tensor(self._output)())
        return self._shared


def _tensor(details: dict[str, Any]) -> TensorSpec:
    shape = [n if n > 0 else None for n in details["shape_signature"].tolist()]
    return TensorSpec(details["name"], np.dtype(details["dtype"]).name, shape)


def _embedded(path: Path) -> dict[str, Any]:
    """The metadata that lies in a buffer of the file, under its name."""
    schema = require("ai_edge_litert.schema_py_generated", "litert")
    # Mapped: reading all of it would leave so much memory behind in the allocator.
    model = schema.Model.GetRootAs(np.memmap(path, mode="r"))
    for i in range(model.MetadataLength()):
        entry = model.Metadata(i)
        if entry.Name() == METADATA_NAME.encode():
            text = model.Buffers(entry.Buffer()).DataAsNumpy().tobytes()
            return parse_metadata(text, f"{path}: {METADATA_NAME} in it")
    return {}
