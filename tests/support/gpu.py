"""A GPU that is not there: NVIDIA's driver, and TensorRT for RTX with ONNX Runtime to run engines.

All of TensorRT for RTX is the real package, but for what needs a GPU; of that the doubles have the
names that the real classes have, and no others.
"""

from __future__ import annotations

import ctypes
import types
from unittest.mock import create_autospec

import numpy as np


class Driver:
    """`libcuda.so.1` of a machine with one GPU, or none, as far as we call it."""

    def __init__(self, gpus: int = 1, capability: str = "8.9"):
        self.gpus, self.capability = gpus, capability
        self.memory: list = []
        self.waited = True

    def cuInit(self, flags):
        return 0 if self.gpus else 100

    def cuGetErrorString(self, code, text):
        text._obj.value = b"no CUDA-capable device is detected"
        return 0

    def cuDeviceGet(self, device, index):
        device._obj.value = index
        return 0

    def cuDeviceGetName(self, name, size, device):
        name.value = b"Imagined GPU"
        return 0

    def cuDeviceGetAttribute(self, value, attribute, device):
        value._obj.value = int(self.capability.split(".")[attribute - 75])
        return 0

    def cuDevicePrimaryCtxRetain(self, context, device):
        context._obj.value = 1
        return 0

    def cuCtxSetCurrent(self, context):
        assert context.value == 1
        return 0

    def cuStreamCreate(self, stream, flags):
        stream._obj.value = 7
        return 0

    def _allocate(self, pointer, size):
        self.memory.append(ctypes.create_string_buffer(size.value))
        pointer._obj.value = ctypes.addressof(self.memory[-1])
        return 0

    cuMemAlloc_v2 = cuMemAllocHost_v2 = _allocate

    def cuMemcpyAsync(self, target, origin, size, stream):
        assert stream.value == 7
        ctypes.memmove(target.value, origin.value, size.value)
        self.waited = False
        return 0

    def cuStreamSynchronize(self, stream):
        self.waited = True
        return 0


def runtime(graph: bytes) -> types.ModuleType:
    """The module `tensorrt_rtx`, in which every engine is run as the ONNX `graph`.

    Its attribute `cached` is what the cache of kernels was filled with, None if it was not.
    """
    import onnxruntime
    import tensorrt_rtx as real

    session = onnxruntime.InferenceSession(graph)
    tensors = [*session.get_inputs(), *session.get_outputs()]
    dtypes = {"tensor(uint8)": real.uint8, "tensor(float)": real.float32}
    addresses = {}

    def array(tensor):
        dtype = np.dtype(real.nptype(dtypes[tensor.type]))
        memory = ctypes.c_uint8 * (int(np.prod(tensor.shape)) * dtype.itemsize)
        raw = memory.from_address(addresses[tensor.name])
        return np.frombuffer(raw, dtype).reshape(tensor.shape)

    def execute(stream):
        assert stream == 7
        array(tensors[1])[:] = session.run(None, {tensors[0].name: array(tensors[0])})[0]
        return True

    context = create_autospec(real.IExecutionContext, instance=True)
    context.set_tensor_address.side_effect = addresses.__setitem__
    context.execute_async_v3.side_effect = execute
    cache = create_autospec(real.IRuntimeCache, instance=True)
    cache.serialize.return_value = b"kernels"
    cache.deserialize.side_effect = lambda content: setattr(module, "cached", content)
    config = create_autospec(real.IRuntimeConfig, instance=True)
    config.create_runtime_cache.return_value = cache
    engine = create_autospec(real.ICudaEngine, instance=True)
    engine.num_io_tensors = len(tensors)
    engine.get_tensor_name.side_effect = [t.name for t in tensors].__getitem__
    by_name = {t.name: t for t in tensors}
    modes = real.TensorIOMode
    engine.get_tensor_mode.side_effect = lambda name: (
        modes.INPUT if by_name[name] is tensors[0] else modes.OUTPUT
    )
    engine.get_tensor_dtype.side_effect = lambda name: dtypes[by_name[name].type]
    engine.get_tensor_shape.side_effect = lambda name: [
        n if isinstance(n, int) else -1 for n in by_name[name].shape
    ]
    engine.create_runtime_config.return_value = config
    engine.create_execution_context.return_value = context
    opened = create_autospec(real.Runtime, instance=True)
    opened.deserialize_cuda_engine.return_value = engine
    module = types.ModuleType("tensorrt_rtx")
    vars(module).update({k: v for k, v in vars(real).items() if not k.startswith("__")})
    module.__version__, module.cached = real.__version__, None
    module.Runtime = lambda log: opened
    module.context = context
    return module


def graph(output: str = "labels", batch: int = 2, size: tuple[int, int] = (32, 64)):
    """An ONNX model as asap-tf exports them, small: a convolution, and a norm over H and W."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    rng = np.random.default_rng(3)
    constants = {
        "kernel": rng.normal(size=(5, 3, 1, 1)).astype("float32"),
        "epsilon": np.array(1e-3, "float32"),
    }

    def node(kind, name, *inputs, **attributes):
        return helper.make_node(kind, inputs, [name], name=name, **attributes)

    nodes = [
        node("Cast", "floats", "frames", to=TensorProto.FLOAT),
        node("Transpose", "planes", "floats", perm=[0, 3, 1, 2]),
        node("Conv", "map", "planes", "kernel"),
        node("ReduceMean", "mean", "map", axes=[2, 3]),
        node("Sub", "distance", "map", "mean"),
        node("Mul", "square", "distance", "distance"),
        node("ReduceMean", "variance", "square", axes=[2, 3]),
        node("Add", "above_zero", "variance", "epsilon"),
        node("Sqrt", "deviation", "above_zero"),
        node("Div", "normal", "distance", "deviation"),
        node("Transpose", "logits", "normal", perm=[0, 2, 3, 1]),
    ]
    result = helper.make_tensor_value_info("logits", TensorProto.FLOAT, (batch, *size, 5))
    if output == "labels":
        nodes += [
            node("ArgMax", "places", "logits", axis=3, keepdims=0),
            node("Cast", "as_floats", "places", to=TensorProto.FLOAT),
            node("Cast", "labels", "as_floats", to=TensorProto.UINT8),
        ]
        result = helper.make_tensor_value_info("labels", TensorProto.UINT8, (batch, *size))
    frames = helper.make_tensor_value_info("frames", TensorProto.UINT8, (batch, *size, 3))
    stored = [numpy_helper.from_array(v, k) for k, v in constants.items()]
    contents = helper.make_graph(nodes, "network", [frames], [result], stored)
    model = helper.make_model(contents, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    return model
