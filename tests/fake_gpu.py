"""A GPU that is not there: NVIDIA's driver and TensorRT 8.6, 10 and 11, as far as we call them.

The modules have the names that the real Python packages have in each version (compared with
tensorrt-bindings 8.6.1, 10.16.1.11 and 11.4.0.106). Engines are run by ONNX Runtime, on memory
that is the host's. What was asked of the builder is in the plan, and in `last`.
"""

from __future__ import annotations

import base64
import ctypes
import enum
import types

import numpy as np

FLAGS = {8: ["FP16", "INT8", "TF32", "OBEY_PRECISION_CONSTRAINTS"], 11: ["TF32"]}
FLAGS[10] = FLAGS[8]
NETWORK_FLAGS = {8: ["EXPLICIT_BATCH"], 10: ["EXPLICIT_BATCH", "STRONGLY_TYPED"]}
NETWORK_FLAGS[11] = ["STRONGLY_TYPED"]
MAGIC = b"plan:"


class Driver:
    """`libcuda.so.1` of a machine with one GPU, or none."""

    def __init__(self, gpus: int = 1):
        self.gpus = gpus
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


def tensorrt(version: str, refuses: tuple[str, ...] = ()) -> types.ModuleType:
    """The module `tensorrt` of a version, whose parser does not know the operators `refuses`."""
    import onnx
    import onnxruntime

    major = int(version.split(".")[0])
    trt = types.ModuleType("tensorrt")
    trt.__version__ = version
    trt.last = {}

    class Logger:
        ERROR = "error"

        def __init__(self, severity):
            pass

    kinds = "ELEMENTWISE UNARY REDUCE SOFTMAX CONVOLUTION ACTIVATION SHUFFLE CAST OTHER"
    trt.LayerType = enum.Enum("LayerType", kinds)
    trt.DataType = enum.Enum("DataType", "FLOAT HALF INT32 INT64 UINT8 INT8 BOOL")
    trt.TensorIOMode = enum.Enum("TensorIOMode", "INPUT OUTPUT")
    trt.MemoryPoolType = enum.Enum("MemoryPoolType", "WORKSPACE")
    trt.BuilderFlag = enum.Enum("BuilderFlag", FLAGS[major])
    names = NETWORK_FLAGS[major]
    trt.NetworkDefinitionCreationFlag = enum.IntEnum(
        "NetworkDefinitionCreationFlag", {name: i for i, name in enumerate(names)}
    )
    layer_of = {
        **dict.fromkeys(["Add", "Sub", "Mul", "Div", "Pow"], trt.LayerType.ELEMENTWISE),
        **dict.fromkeys(["Sqrt", "Reciprocal"], trt.LayerType.UNARY),
        **dict.fromkeys(["ReduceMean", "GlobalAveragePool"], trt.LayerType.REDUCE),
        "Softmax": trt.LayerType.SOFTMAX,
        "Conv": trt.LayerType.CONVOLUTION,
    }
    dtype_of = {1: "FLOAT", 2: "UINT8", 3: "INT8", 6: "INT32", 7: "INT64", 9: "BOOL", 10: "HALF"}

    def nptype(dtype):
        named = {"FLOAT": np.float32, "HALF": np.float16, "UINT8": np.uint8, "INT32": np.int32}
        return named[dtype.name]

    class Layer:
        # Weak typing is gone from TensorRT 11, and its layers with it.
        __slots__ = ("name", "type", "_inputs", "_output") + (
            ("precision", "output_type") if major < 11 else ()
        )

        def __init__(self, name, kind, inputs, output):
            self.name, self.type, self._inputs, self._output = name, kind, inputs, output

        def get_input(self, index):
            return self._inputs[index]

        def get_output(self, index):
            return self._output

        if major < 11:

            def set_output_type(self, index, dtype):
                self.output_type = dtype

    class Network:
        def __init__(self, flags):
            self.flags, self.layers = flags, []

        @property
        def num_layers(self):
            return len(self.layers)

        def get_layer(self, index):
            return self.layers[index]

    class OnnxParser:
        def __init__(self, network, logger):
            self.network, self.errors = network, []

        num_errors = property(lambda self: len(self.errors))

        def get_error(self, index):
            return self.errors[index]

        def parse(self, content):
            # TensorRT 8 knows implicit batches too, in which ONNX cannot be read.
            assert major > 8 or self.network.flags & 1
            model = onnx.shape_inference.infer_shapes(onnx.load_from_string(content))
            self.network.onnx = content
            values = [*model.graph.value_info, *model.graph.output, *model.graph.input]
            tensors = {
                v.name: types.SimpleNamespace(
                    name=v.name,
                    shape=tuple(d.dim_value for d in v.type.tensor_type.shape.dim),
                    dtype=trt.DataType[dtype_of[v.type.tensor_type.elem_type]],
                )
                for v in values
            }
            for node in model.graph.node:
                if node.op_type in refuses:
                    self.errors.append(f"{node.op_type} is not known")
                kind = layer_of.get(node.op_type, trt.LayerType.OTHER)
                inputs = [tensors.get(name) for name in node.input]
                self.network.layers.append(Layer(node.name, kind, inputs, tensors[node.output[0]]))
            return not self.errors

    class Config:
        def __init__(self):
            self.flags = {"TF32"}
            self.cache = None

        def set_memory_pool_limit(self, pool, size):
            self.limit = size

        def set_flag(self, flag):
            self.flags.add(flag.name)

        def clear_flag(self, flag):
            self.flags.discard(flag.name)

        def create_timing_cache(self, content):
            return types.SimpleNamespace(content=content, serialize=lambda: b"timed")

        def set_timing_cache(self, cache, ignore_mismatch):
            assert not ignore_mismatch
            if cache.content not in (b"", b"timed"):
                return False
            self.cache = cache
            return True

        def get_timing_cache(self):
            return self.cache

    class Builder:
        def __init__(self, logger):
            pass

        def create_network(self, flags=0):
            return Network(flags)

        def create_builder_config(self):
            return Config()

        def build_serialized_network(self, network, config):
            assert config.cache is not None
            trt.last = {"flags": config.flags, "limit": config.limit, "network": network}
            trt.last["known"] = config.cache.content
            return MAGIC + base64.b64encode(network.onnx)

    class Context:
        def __init__(self, session):
            self.session, self.addresses = session, {}

        def set_tensor_address(self, name, address):
            self.addresses[name] = address
            return True

        def execute_async_v3(self, stream):
            assert stream == 7
            frames, result = self.session.get_inputs()[0], self.session.get_outputs()[0]
            (output,) = self.session.run(None, {frames.name: self._array(frames)})
            self._array(result)[:] = output
            return True

        def _array(self, tensor):
            dtype = np.dtype({"tensor(uint8)": "uint8", "tensor(float)": "float32"}[tensor.type])
            size = int(np.prod(tensor.shape)) * dtype.itemsize
            memory = (ctypes.c_uint8 * size).from_address(self.addresses[tensor.name])
            return np.frombuffer(memory, dtype).reshape(tensor.shape)

    class Engine:
        def __init__(self, session):
            self.session = session
            self.tensors = {t.name: (t, trt.TensorIOMode.INPUT) for t in session.get_inputs()}
            self.tensors |= {t.name: (t, trt.TensorIOMode.OUTPUT) for t in session.get_outputs()}

        num_io_tensors = property(lambda self: len(self.tensors))

        def get_tensor_name(self, index):
            return list(self.tensors)[index]

        def get_tensor_mode(self, name):
            return self.tensors[name][1]

        def get_tensor_shape(self, name):
            return [n if isinstance(n, int) else -1 for n in self.tensors[name][0].shape]

        def get_tensor_dtype(self, name):
            kinds = {"tensor(uint8)": "UINT8", "tensor(float)": "FLOAT"}
            return trt.DataType[kinds[self.tensors[name][0].type]]

        def create_execution_context(self):
            return Context(self.session)

    class Runtime:
        def __init__(self, logger):
            pass

        def deserialize_cuda_engine(self, plan):
            if not plan.startswith(MAGIC):
                return None
            return Engine(onnxruntime.InferenceSession(base64.b64decode(plan[len(MAGIC) :])))

    for thing in (Logger, OnnxParser, Builder, Runtime, nptype):
        setattr(trt, thing.__name__, thing)
    return trt


def plan(model) -> bytes:
    """An engine, as a builder of ours would have written it."""
    return MAGIC + base64.b64encode(model.SerializeToString())


def network(output: str = "labels", batch: int = 2, size: tuple[int, int] = (32, 64)):
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
    graph = helper.make_graph(nodes, "network", [frames], [result], stored)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    return model
