"""TensorRT engines on the GPU, by numpy and ctypes alone: bundles take this file along."""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import math
import re
import struct
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

CAPABILITIES = ("7.5", "8.0", "8.6", "8.9", "12.0", "12.1")
"""Compute capabilities that TensorRT for RTX builds for, as the bits of an engine's header."""

HEADER = 64
"""Bytes of an engine that say what built it for which GPUs (`Runtime.engine_header_size`)."""


PACKAGES = {"tensorrt_rtx": "tensorrt-rtx-cu12", "tensorrt": "tensorrt-cu12"}
"""Packages that install the modules; those of TensorRT for RTX run on RTX GPUs only."""


class Failure(Exception):
    """What is missing or went wrong, for people."""


class Stamp(NamedTuple):
    """What the header of an engine of TensorRT for RTX says.

    Attributes:
        version: The TensorRT for RTX that built it, such as `(1, 7, 1, 116)`.
        capabilities: Compute capabilities of the GPUs that it runs on, such as `("8.6", "8.9")`.
    """

    version: tuple[int, ...]
    capabilities: tuple[str, ...]

    def __str__(self) -> str:
        gpus = " or ".join(self.capabilities) or "unknown here"
        return f"TensorRT for RTX {dotted(self.version)} for GPUs of compute capability {gpus}"


def dotted(version: tuple[int, ...]) -> str:
    """A version for people: `"1.7.1.116"`."""
    return ".".join(map(str, version))


def stamp_of(plan: bytes) -> Stamp | None:
    """Reads an engine's header, without its package or a GPU.

    NVIDIA does not document it; what is read here is compared with engines that its builder writes.

    Args:
        plan: The engine's bytes.

    Returns:
        None for anything but an engine of TensorRT for RTX: engines of TensorRT itself among it.

    Raises:
        Failure: if the engine is longer or shorter than it says.
    """
    if plan[:4] != b"vtrt":
        return None
    if len(plan) < HEADER:
        raise Failure(f"damaged: its {len(plan)} bytes are less than a header")
    size, *version = struct.unpack_from("<Q4B", plan, 16)
    if size != len(plan):
        raise Failure(f"damaged: it has {len(plan):,} bytes and says that it has {size:,}")
    (bits,) = struct.unpack_from("<I", plan, 32)
    return Stamp((*version,), tuple(c for i, c in enumerate(CAPABILITIES) if bits >> i & 1))


def product(trt: Any) -> str:
    """Name and version of the module `tensorrt` or `tensorrt_rtx`, for people."""
    name = "TensorRT for RTX" if trt.__name__ == "tensorrt_rtx" else "TensorRT"
    return f"{name} {trt.__version__}"


def listener(trt: Any) -> Any:
    """A logger of TensorRT that keeps what is said, in `lines`, and prints nothing."""

    class Listener(trt.ILogger):
        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self.lines: list[tuple[Any, str]] = []

        def log(self, severity: Any, text: str) -> None:
            self.lines.append((severity, text))

        def error(self) -> str:
            """The first error, in one line; empty if there was none."""
            worst = trt.ILogger.Severity.INTERNAL_ERROR, trt.ILogger.Severity.ERROR
            text = next((text for severity, text in self.lines if severity in worst), "")
            # Without the places in NVIDIA's sources, before and after what is said.
            text = re.sub(r"^.*\(\[\S+ \w+\] ", "", " ".join(text.split()))
            return re.sub(r" In \w+ at .*$", "", text)[:300]

    return Listener()


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
        major, minor = ctypes.c_int(), ctypes.c_int()
        for value, attribute in ((major, 75), (minor, 76)):  # COMPUTE_CAPABILITY_MAJOR, _MINOR
            self._call("cuDeviceGetAttribute", ctypes.byref(value), attribute, device)
        self.capability = f"{major.value}.{minor.value}"
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
        plan: What the builder returned.
        cuda: The GPU; None takes the first one.
        cache: File for the kernels that TensorRT for RTX compiles for this GPU, so that the next
            start is quick; None keeps none.

    Attributes:
        runtime: For people: `"TensorRT for RTX 1.7.1.116, NVIDIA GeForce RTX 4090"`.
        inputs, outputs: `(name, dtype, shape)` of each tensor; a length left open is -1.

    Raises:
        Failure: if the engine is damaged, or with all that is missing to run it.
    """

    def __init__(self, plan: bytes, cuda: Cuda | None = None, cache: Path | None = None):
        trt, cuda = requirements(plan, cuda)
        self.runtime = f"{product(trt)}, {cuda.name}"
        self._cuda, self._log = cuda, listener(trt)
        self._cache = cache if hasattr(trt, "IRuntimeCache") else None
        try:
            self._runtime = trt.Runtime(self._log)
        except TypeError as error:
            raise Failure("TensorRT cannot start; does nvidia-smi see a GPU?") from error
        self._engine = self._runtime.deserialize_cuda_engine(plan)
        if self._engine is None:
            raise Failure(
                f"{self.runtime} cannot open the engine: it is damaged, or was built by another "
                f"version or for another kind of GPU ({self._log.error()})"
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
        options = []
        if self._cache:
            options.append(self._engine.create_runtime_config())
            kernels = options[0].create_runtime_cache()
            with contextlib.suppress(OSError):
                # What is of another GPU or version is refused, and compiled again.
                kernels.deserialize(self._cache.read_bytes())
            options[0].set_runtime_cache(kernels)
        self._context = self._engine.create_execution_context(*options)
        if self._context is None:
            raise Failure("TensorRT cannot prepare the engine: is the GPU's memory full?")
        self._context.set_tensor_address(entrance, self._entrance)
        self._context.set_tensor_address(leaving, self._exit)
        if self._cache:
            # The kernels are compiled when they first run.
            self.compute()
            with contextlib.suppress(OSError):
                self._cache.write_bytes(bytes(kernels.serialize()))
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


def requirements(plan: bytes, cuda: Cuda | None = None) -> tuple[Any, Cuda]:
    """The module and the GPU that an engine runs with.

    Args:
        plan: The engine's bytes.
        cuda: The GPU; None takes the first one.

    Raises:
        Failure: if the engine is damaged; or with all that is missing to run it.
    """
    stamp, module = stamp_of(plan), None
    name = "tensorrt_rtx" if stamp else "tensorrt"
    missing = []
    try:
        module = importlib.import_module(name)
    except ImportError as error:
        missing.append(f"the package {name} ({error}; pip install {PACKAGES[name]})")
    else:
        here = tuple(map(int, module.__version__.split(".")))
        if stamp and stamp.version > here:
            missing.append(f"that version of it, or a later one: {dotted(here)} is installed")
    try:
        cuda = cuda or Cuda()
    except Failure as failure:
        missing.append(f"a GPU ({failure})")
    else:
        if stamp and cuda.capability not in stamp.capabilities:
            missing.append(f"such a GPU ({cuda.name} has {cuda.capability})")
    if missing or cuda is None:
        origin = f"built by {stamp}" if stamp else "no engine of TensorRT for RTX; for TensorRT"
        raise Failure(f"{origin}; missing: {', '.join(missing)}")
    return module, cuda
