"""TensorRT engines on the GPU, by numpy and ctypes alone: bundles take this file along."""

from __future__ import annotations

import ctypes
import math
from typing import Any

import numpy as np


class Failure(Exception):
    """What is missing or went wrong, for people."""


class Cuda:
    """The first GPU, through the driver's own library, which is there wherever a GPU works.

    Args:
        library: The driver's library; None loads it.

    Raises:
        Failure: if there is no driver or no GPU.
    """

    def __init__(self, library: Any = None):
        try:
            self._library = library or ctypes.CDLL("libcuda.so.1")
        except OSError as error:
            raise Failure("no NVIDIA driver (libcuda.so.1 cannot be loaded)") from error
        device, self._context, self._stream = ctypes.c_int(), ctypes.c_void_p(), ctypes.c_void_p()
        name = ctypes.create_string_buffer(96)
        self._call("cuInit", 0)
        self._call("cuDeviceGet", ctypes.byref(device), 0)
        self._call("cuDeviceGetName", name, 96, device)
        self._call("cuDevicePrimaryCtxRetain", ctypes.byref(self._context), device)
        self.name = name.value.decode()
        self.use()
        self._call("cuStreamCreate", ctypes.byref(self._stream), 1)

    def _call(self, function: str, *arguments: Any) -> None:
        code = getattr(self._library, function)(*arguments)
        if code:
            text = ctypes.c_char_p()
            self._library.cuGetErrorString(code, ctypes.byref(text))
            reason = text.value.decode() if text.value else "unknown"
            raise Failure(f"the NVIDIA driver's {function}: {reason} (CUDA error {code})")

    @property
    def stream(self) -> int:
        """Handle of the stream on which everything runs."""
        return self._stream.value or 0

    def use(self) -> None:
        """Lets the calling thread work with the GPU."""
        self._call("cuCtxSetCurrent", self._context)

    def allocate(self, size: int) -> int:
        """Address of `size` new bytes on the GPU; they stay until the process ends."""
        pointer = ctypes.c_uint64()
        self._call("cuMemAlloc_v2", ctypes.byref(pointer), ctypes.c_size_t(size))
        return pointer.value

    def pinned(self, shape: tuple[int, ...], dtype: str) -> np.ndarray:
        """A new array in page-locked host memory, which the GPU copies from and to by itself."""
        size, pointer = math.prod(shape) * np.dtype(dtype).itemsize, ctypes.c_void_p()
        self._call("cuMemAllocHost_v2", ctypes.byref(pointer), ctypes.c_size_t(size))
        memory = (ctypes.c_uint8 * size).from_address(pointer.value or 0)
        return np.ndarray(shape, dtype, memoryview(memory))

    def copy(self, target: int, origin: int, size: int) -> None:
        """Starts copying bytes between host and GPU, whichever the addresses are of."""
        addresses = ctypes.c_uint64(target), ctypes.c_uint64(origin)
        self._call("cuMemcpyAsync", *addresses, ctypes.c_size_t(size), self._stream)

    def synchronize(self) -> None:
        """Waits until all that was started is done."""
        self._call("cuStreamSynchronize", self._stream)


class Engine:
    """A TensorRT engine on the GPU.

    Args:
        trt: The module `tensorrt`.
        cuda: The GPU.
        plan: What `build` returned, on this kind of GPU and this version of TensorRT.

    Attributes:
        inputs, outputs: `(name, dtype, shape)` of each tensor; a length left open is -1.

    Raises:
        Failure: if TensorRT cannot open it.
    """

    def __init__(self, trt: Any, cuda: Cuda, plan: bytes):
        try:
            self._cuda, self._runtime = cuda, trt.Runtime(trt.Logger(trt.Logger.ERROR))
        except TypeError as error:
            raise Failure("TensorRT cannot start; does nvidia-smi see a GPU?") from error
        self._engine = self._runtime.deserialize_cuda_engine(plan)
        if self._engine is None:
            raise Failure(
                f"TensorRT {trt.__version__} cannot open the engine: it is damaged, or was built "
                "by another version or for another kind of GPU"
            )
        self.inputs: list[tuple[str, str, tuple[int, ...]]] = []
        self.outputs: list[tuple[str, str, tuple[int, ...]]] = []
        for i in range(self._engine.num_io_tensors):
            name = self._engine.get_tensor_name(i)
            dtype = str(np.dtype(trt.nptype(self._engine.get_tensor_dtype(name))))
            is_input = self._engine.get_tensor_mode(name) == trt.TensorIOMode.INPUT
            tensors = self.inputs if is_input else self.outputs
            tensors.append((name, dtype, tuple(self._engine.get_tensor_shape(name))))

    def prepare(self) -> Engine:
        """Makes the buffers, for one input and one output of fixed shape; returns itself."""
        (entrance, kind, shape), (leaving, out_kind, out_shape) = self.inputs[0], self.outputs[0]
        self.frames = self._cuda.pinned(shape, kind)
        self.result = self._cuda.pinned(out_shape, out_kind)
        self._entrance = self._cuda.allocate(self.frames.nbytes)
        self._exit = self._cuda.allocate(self.result.nbytes)
        self._context = self._engine.create_execution_context()
        if self._context is None:
            raise Failure("TensorRT cannot prepare the engine: is the GPU's memory full?")
        self._context.set_tensor_address(entrance, self._entrance)
        self._context.set_tensor_address(leaving, self._exit)
        return self

    def compute(self) -> None:
        """Runs the network on the frames that are on the GPU, and waits for it."""
        if not self._context.execute_async_v3(self._cuda.stream):
            raise Failure("TensorRT cannot run the engine")
        self._cuda.synchronize()

    def copy_and_compute(self) -> None:
        """Runs the network from `frames` to `result`, both in page-locked host memory."""
        self._cuda.copy(self._entrance, self.frames.ctypes.data, self.frames.nbytes)
        self.compute()
        self._cuda.copy(self.result.ctypes.data, self._exit, self.result.nbytes)
        self._cuda.synchronize()

    def run(self, frames: np.ndarray) -> np.ndarray:
        """The output for exactly one batch of frames, the caller's to keep; from any thread."""
        self._cuda.use()
        self.frames[:] = frames
        self.copy_and_compute()
        return self.result.copy()
