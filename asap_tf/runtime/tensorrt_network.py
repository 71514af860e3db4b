"""`.engine` files in TensorRT."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from asap_tf.core.errors import AsapError
from asap_tf.runtime.engine import Cuda, Engine, Failure
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

        Args:
            path: The file.
            threads: Not used: the GPU does the work.

        Raises:
            AsapError: if TensorRT or a GPU is missing, or the file is no segmentation network
                for this version of TensorRT and this kind of GPU.
        """
        try:
            import tensorrt as trt
        except ImportError as error:
            raise AsapError(
                f"{path}: TensorRT cannot be imported ({error}); get it by: pip install "
                "tensorrt-cu12, in the version that built the engine"
            ) from error
        try:
            cuda = Cuda()
            engine = Engine(trt, cuda, path.read_bytes())
            takes = [_tensor(*tensor) for tensor in engine.inputs]
            gives = [_tensor(*tensor) for tensor in engine.outputs]
            signature = signature_of(path, takes, gives)
            engine.prepare()
        except Failure as failure:
            raise AsapError(f"{path}: {failure}") from failure
        return cls(engine, signature, f"TensorRT {trt.__version__}, {cuda.name}")

    def run(self, frames: np.ndarray) -> np.ndarray:
        try:
            return self._engine.run(frames)
        except Failure as failure:
            raise AsapError(str(failure)) from failure


def _tensor(name: str, dtype: str, shape: tuple[int, ...]) -> TensorSpec:
    return TensorSpec(name, dtype, [length if length > 0 else None for length in shape])
