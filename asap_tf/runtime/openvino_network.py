"""OpenVINO: `.xml` files, with the `.bin` beside them, on the processor."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import numpy as np

from asap_tf.core.errors import AsapError
from asap_tf.core.optional import require
from asap_tf.core.processor import processor_words
from asap_tf.core.system import available_cores, thread_count
from asap_tf.runtime.network import (
    FixedNetwork,
    Signature,
    TensorSpec,
    signature_of,
)
from asap_tf.saving import artifact_files, parse_metadata

METADATA_KEY = "asap_tf"
"""Of the metadata in OpenVINO's runtime information."""


class OpenVINONetwork(FixedNetwork):
    """An exported network in OpenVINO."""

    format = "openvino"
    exclusive = True

    def __init__(self, model: Any, signature: Signature, runtime: str, metadata: dict[str, Any]):
        super().__init__(signature, runtime, metadata)
        self._request = model.create_infer_request()

    @classmethod
    def open(cls, path: Path, threads: int | None = None) -> OpenVINONetwork:
        """Opens an `.xml` file.

        Artifacts of precision fp32 are calculated in float32, of fp16 in bfloat16 where the
        processor has matrix units for it (AMX). Of int8 OpenVINO calculates what is not in
        integers in bfloat16 where the processor has any.

        Args:
            path: The file.
            threads: Processor threads; None for all cores.

        Raises:
            AsapError: if OpenVINO is not installed, or the file is no segmentation network.
        """
        openvino = require("openvino", "openvino")
        for file in artifact_files(path):
            if not file.exists():
                raise AsapError(f"{file}: missing; OpenVINO's .xml and .bin belong together")
        try:
            model = core().read_model(path)
        except RuntimeError as error:
            # Its first lines name a place in its source, the last one what is wrong.
            raise RuntimeError(str(error).strip().rpartition("\n")[2]) from error
        takes, gives = map(_tensor, model.inputs), map(_tensor, model.outputs)
        signature = signature_of(path, list(takes), list(gives))
        metadata = {}
        if model.has_rt_info(METADATA_KEY):
            text = model.get_rt_info(METADATA_KEY).value
            metadata = parse_metadata(text, f"{path}: {METADATA_KEY} in it")
        threads = threads or available_cores()
        options = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": threads}
        precision = metadata.get("precision")
        if precision == "fp32" or (precision != "int8" and "amx_bf16" not in processor_words()):
            # OpenVINO itself takes bfloat16 wherever there are instructions for it. Without
            # matrix units that is slower, but for the little that an int8 network leaves to it.
            options["INFERENCE_PRECISION_HINT"] = "f32"
        compiled = core().compile_model(model, "CPU", options)
        dtype = compiled.get_property("INFERENCE_PRECISION_HINT").to_string()
        version = openvino.__version__.split("-")[0]
        runtime = f"OpenVINO {version}, CPU in {dtype}, {thread_count(threads)}"
        return cls(compiled, signature, runtime, metadata)

    def run(self, frames: np.ndarray) -> np.ndarray:
        results = self._request.infer([frames], share_inputs=True)
        return results[0]


@functools.cache
def core() -> Any:
    """OpenVINO's `Core`, one for the process and never let go.

    Each brings a stack for signals. If one of several goes before a later one, that one leaves the
    process on a stack that is gone, and the next Ctrl-C ends in a segmentation fault (2026.4).

    Raises:
        AsapError: if OpenVINO is not installed.
    """
    return require("openvino", "openvino").Core()


def _tensor(port: Any) -> TensorSpec:
    shape = [n.get_length() if n.is_static else "?" for n in port.get_partial_shape()]
    kind = port.get_element_type()
    dtype = {"u8": "uint8", "f32": "float32"}.get(kind.to_string(), str(kind))
    return TensorSpec(min(port.get_names(), default=""), dtype, shape)
