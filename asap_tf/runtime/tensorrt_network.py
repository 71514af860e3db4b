"""`.engine` files in TensorRT."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from asap_tf.core.errors import AsapError
from asap_tf.runtime.engine import Engine, Failure
from asap_tf.runtime.network import FixedNetwork, Signature, TensorSpec, signature_of


class TensorRTNetwork(FixedNetwork):
    """An exported network in TensorRT, on the first GPU."""

    format = "tensorrt"
    exclusive = True

    def __init__(self, engine: Engine, signature: Signature, runtime: str):
        super().__init__(signature, runtime)
        self._engine = engine

    @classmethod
    def open(cls, path: Path, threads: int | None = None) -> TensorRTNetwork:
        """Opens an `.engine` file; its metadata is beside it only.

        Kernels that TensorRT for RTX compiles for this GPU are kept in `<path>.cache`, if it can be
        written.

        Args:
            path: The file.
            threads: Not used: the GPU does the work.

        Raises:
            AsapError: if the package or the GPU that the engine was built for is missing, or the
                file is no segmentation network.
        """
        try:
            engine = Engine(path.read_bytes(), cache=path.with_name(f"{path.name}.cache"))
            takes = [_tensor(*tensor) for tensor in engine.inputs]
            gives = [_tensor(*tensor) for tensor in engine.outputs]
            signature = signature_of(path, takes, gives)
            engine.prepare()
        except Failure as failure:
            raise AsapError(f"{path}: {failure}") from failure
        return cls(engine, signature, engine.runtime)

    def run(self, frames: np.ndarray) -> np.ndarray:
        try:
            return self._engine.run(frames)
        except Failure as failure:
            raise AsapError(str(failure)) from failure


def _tensor(name: str, dtype: str, shape: tuple[int, ...]) -> TensorSpec:
    return TensorSpec(name, dtype, [length if length > 0 else None for length in shape])
