"""Networks as their runtimes convert and run them, without any of this project's code."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from asap_tf.benchmark.artifact import lead_in, timed

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True)
class BareSpec:
    """A network of any kind, for a process of its own; see `asap_tf.benchmark.worker`."""

    path: Path
    folder: Path
    threads: int

    def open(self) -> BareRunner:
        """Opens it in this process."""
        return BareRunner(self)


class BareRunner:
    """A network as its runtime runs it; a `Runner`."""

    def __init__(self, spec: BareSpec):
        self.info = None
        self.run = OPENED[spec.path.suffix](spec.path, spec.threads)

    def turn(self) -> dict[str, float]:
        """Runs it untimed, then once; seconds by row."""
        lead_in(self.run)
        return {"network": timed(self.run)}


def in_litert(file: Path | bytes, threads: int) -> Callable[[], Any]:
    """One run of a `.tflite` file, or of its content, on random input."""
    from ai_edge_litert.interpreter import Interpreter

    content = file if isinstance(file, bytes) else file.read_bytes()
    interpreter = Interpreter(model_content=content, num_threads=threads)
    interpreter.allocate_tensors()
    for port in interpreter.get_input_details():
        interpreter.set_tensor(port["index"], noise(port["shape"], port["dtype"]))
    return interpreter.invoke


def in_openvino(path: Path, threads: int) -> Callable[[], Any]:
    """One run of an `.xml` file on random input."""
    from asap_tf.runtime.openvino_network import core

    options = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": threads}
    compiled = core().compile_model(core().read_model(path), "CPU", options)
    request, port = compiled.create_infer_request(), compiled.inputs[0]
    x = noise(port.shape, port.element_type.to_dtype())
    return lambda: request.infer([x], share_inputs=True)


def in_onnxruntime(path: Path, threads: int) -> Callable[[], Any]:
    """One run of an `.onnx` file on random input."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(str(path), options)
    (port,) = session.get_inputs()
    x = noise(port.shape, np.dtype("uint8" if "uint8" in port.type else "float32"))
    return lambda: session.run(None, {port.name: x})


OPENED = {".tflite": in_litert, ".xml": in_openvino, ".onnx": in_onnxruntime}
"""What gives one run of a file, by the file's ending."""


def noise(shape: Sequence[int], dtype: Any) -> np.ndarray:
    """Whole numbers from 0 to 255."""
    return np.random.default_rng(0).integers(0, 256, tuple(shape)).astype(dtype)


def write_naively(model: keras.Model, path: Path, frames: Sequence[np.ndarray]) -> None:
    """Converts a Keras model as it is: `.tflite` and `.xml` in int8, `.onnx` in float32.

    Args:
        model: Of one input and one output, both of known size.
        path: Its ending is the format.
        frames: uint8 arrays of the input's shape without the batch, to calibrate int8 on.
    """
    write = {".tflite": write_litert, ".xml": write_openvino, ".onnx": write_onnx}[path.suffix]
    write(model, path, [frame[np.newaxis].astype(np.float32) for frame in frames])


def frozen(model: keras.Model) -> Any:
    """The model as a TensorFlow function of a float32 batch of one, its weights constants."""
    import tensorflow as tf
    from tensorflow.python.framework.convert_to_constants import (
        convert_variables_to_constants_v2,
    )

    x = tf.TensorSpec((1, *model.input_shape[1:]), name="x")
    traced = tf.function(lambda x: model(x, training=False), [x], autograph=False)
    return convert_variables_to_constants_v2(traced.get_concrete_function())


def write_litert(model: keras.Model, path: Path, batches: Sequence[np.ndarray]) -> None:
    """All in integers, as TensorFlow's guide to quantization says."""
    import tensorflow as tf

    converter = tf.lite.TFLiteConverter.from_concrete_functions([frozen(model)])
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([batch] for batch in batches)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type, converter.inference_output_type = tf.uint8, tf.int8
    path.write_bytes(converter.convert())


def write_onnx(model: keras.Model, path: Path, batches: Sequence[np.ndarray] = ()) -> None:
    """By tf2onnx."""
    import tf2onnx

    function = frozen(model)
    converted, _ = tf2onnx.convert.from_graph_def(
        function.graph.as_graph_def(),
        input_names=[function.inputs[0].name],
        output_names=[function.outputs[0].name],
        opset=17,
    )
    path.write_bytes(converted.SerializeToString())


def write_openvino(model: keras.Model, path: Path, batches: Sequence[np.ndarray]) -> None:
    """From ONNX, quantized by NNCF."""
    import nncf
    import openvino

    from asap_tf.runtime.openvino_network import core

    file = path.with_suffix(".onnx")
    write_onnx(model, file)
    plain = core().read_model(file)
    file.unlink()
    quantized = nncf.quantize(plain, nncf.Dataset(batches), subset_size=len(batches))
    openvino.save_model(quantized, path, compress_to_fp16=False)
