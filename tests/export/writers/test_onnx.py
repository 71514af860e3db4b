from __future__ import annotations

import json
import sys
from collections import Counter

import keras
import numpy as np
import onnx as onnx_package
import onnxruntime
import pytest
from onnx import TensorProto, numpy_helper

from asap_tf.core.errors import AsapError
from asap_tf.core.formats import FORMATS
from asap_tf.export.graph import Deployment
from asap_tf.export.writers import onnx, tensorrt_onnx
from asap_tf.saving import preset_file

METADATA = {"format": "onnx", "classes": ["ä"], "size": [64, 128]}
STATISTICS = {"ReduceMean", "GlobalAveragePool", "Sqrt", "Reciprocal", "Softmax"}


@pytest.fixture(scope="module")
def loud(model):
    """`model` with 1000 times as much before FFDN's norms, which undo it; 1000**2 is no float16."""
    twin = keras.models.clone_model(model)
    twin.set_weights(model.get_weights())
    kernel = twin.get_layer("fusion").conv.kernel
    kernel.assign(kernel * 1000)
    return twin


@pytest.fixture(scope="module")
def deployment(loud):
    return Deployment(loud, (64, 128))


@pytest.fixture(scope="module")
def written(deployment, frames, tmp_path_factory):
    """The files by precision, labels of one frame a call; `tensorrt` is int8 by its rules."""
    folder = tmp_path_factory.mktemp("onnx")
    paths = {name: folder / f"{name}.onnx" for name in (*FORMATS["onnx"].precisions, "tensorrt")}
    for precision in FORMATS["onnx"].precisions:
        onnx.write(deployment, precision, paths[precision], list(frames), METADATA)
    tensorrt_onnx.write(deployment, "int8", paths["tensorrt"], list(frames), METADATA)
    return paths


def run(path, frames):
    session = onnxruntime.InferenceSession(path)
    (output,) = session.get_outputs()
    return output.name, session.run(None, {"frames": frames})[0]


@pytest.mark.parametrize("stride", [2, 8])
def test_labels_of_a_stride(model, frames, strided_labels, tmp_path, stride):
    deployment, path = Deployment(model, (64, 128), 8, label_stride=stride), tmp_path / "m.onnx"
    for precision, floor in (("fp32", 0.999), ("int8", 0.97)):
        onnx.write(deployment, precision, path, list(frames), METADATA)
        labels = run(path, frames)[1]
        assert labels.dtype == np.uint8
        assert np.mean(labels == strided_labels(stride)) > floor, precision


class Graph:
    """Who makes and takes which tensor, of which type and value."""

    def __init__(self, path):
        model = onnx_package.shape_inference.infer_shapes(onnx_package.load(path))
        self.nodes = list(model.graph.node)
        self.maker = {output: node for node in self.nodes for output in node.output}
        self.constants = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
        values = [*model.graph.value_info, *model.graph.input, *model.graph.output]
        self.types = {value.name: value.type.tensor_type.elem_type for value in values}
        self.sizes = {
            value.name: np.prod([d.dim_value for d in value.type.tensor_type.shape.dim])
            for value in values
        }

    def of(self, *kinds):
        return [node for node in self.nodes if node.op_type in kinds]

    def kind(self, tensor):
        return self.maker[tensor].op_type if tensor in self.maker else None

    def takers(self, tensor):
        return {node.op_type for node in self.nodes if tensor in node.input}


@pytest.mark.parametrize(
    ("name", "floor"), [("fp32", 0.999), ("fp16", 0.995), ("int8", 0.97), ("tensorrt", 0.97)]
)
def test_labels_are_the_models(written, frames, logits, name, floor):
    results = [run(written[name], frame[np.newaxis]) for frame in frames]
    assert {name for name, _ in results} == {"labels"}
    labels = np.concatenate([labels for _, labels in results])
    assert labels.dtype == np.uint8
    assert np.mean(labels == logits.argmax(-1)) >= floor


@pytest.mark.parametrize("name", ["fp32", "fp16", "int8", "tensorrt"])
def test_files_are_standard_and_carry_the_metadata(written, name):
    model = onnx_package.load(written[name])
    onnx_package.checker.check_model(model, full_check=True)
    opset = tensorrt_onnx.INT8_OPSET if name == "tensorrt" else onnx.OPSET
    assert [(o.domain, o.version) for o in model.opset_import] == [("", opset)]
    assert {node.domain for node in model.graph.node} == {""}
    assert model.ir_version <= (9 if name == "tensorrt" else 8)
    assert {p.key: json.loads(p.value) for p in model.metadata_props} == {"asap_tf": METADATA}


def test_files_hold_what_their_precision_says(written):
    sizes = {name: path.stat().st_size for name, path in written.items()}
    assert sizes["fp16"] < 0.52 * sizes["fp32"]
    assert sizes["int8"] < 0.3 * sizes["fp32"]
    assert sizes["tensorrt"] < 0.3 * sizes["fp32"]


@pytest.mark.parametrize("name", ["fp32", "fp16", "int8", "tensorrt"])
def test_operators(written, name):
    graph = Graph(written[name])
    assert not graph.of("Pad", "Slice", "Identity")
    # A sample's moments, to its channels.
    assert {graph.sizes[node.output[0]] for node in graph.of("Expand")} == {128}
    first, *others = graph.of("Transpose")
    assert graph.sizes[first.output[0]] == 64 * 128 * 3
    # The attention's, of one strip: columns x channels.
    assert max(graph.sizes[node.output[0]] for node in others) == 128 // 8 * 256
    # TensorRT makes uint8 of floats alone.
    cast = graph.maker["labels"]
    assert graph.types[cast.input[0]] in (TensorProto.FLOAT, TensorProto.FLOAT16)


def test_fp16_keeps_statistics_in_float32(written):
    graph = Graph(written["fp16"])
    weights = [graph.constants[node.input[1]] for node in graph.of("Conv")]
    assert {array.dtype for array in weights} == {np.dtype(np.float16)}
    assert {graph.types[node.output[0]] for node in graph.of("Conv", "Relu", "Resize")} == {
        TensorProto.FLOAT16
    }
    for node in graph.of(*STATISTICS, "MatMul"):
        kind = TensorProto.FLOAT16 if node.op_type == "MatMul" else TensorProto.FLOAT
        assert {graph.types[tensor] for tensor in (node.input[0], *node.output)} == {kind}
    # In and out of each island once, not around each operator in it, and around both products.
    assert len(graph.of("Cast")) < 18


def operators_run(path, folder):
    """How often each operator is in what ONNX Runtime makes of a file."""
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(folder / "optimized.onnx")
    options.log_severity_level = 3
    onnxruntime.InferenceSession(path, options)
    return Counter(n.op_type for n in onnx_package.load(folder / "optimized.onnx").graph.node)


def test_int8_runs_in_integers(written, tmp_path):
    kinds = operators_run(written["int8"], tmp_path)
    # The mean of the finest level is a convolution too.
    assert kinds["QLinearConv"] == len(Graph(written["fp32"]).of("Conv")) + 1
    assert not {"Conv", "FusedConv", "Relu", "QLinearAveragePool"} & kinds.keys()
    assert kinds["QLinearAdd"] == 11  # of eight blocks and three levels
    assert {"ReduceMean", "Sqrt", "Softmax", "MatMul"} <= kinds.keys()


def test_int8_of_a_network_with_relu6(frames, tmp_path):
    model = keras.models.load_model(preset_file("asap_lite0_camvid"))
    path = tmp_path / "int8.onnx"
    onnx.write(Deployment(model, (64, 128), batch=8), "int8", path, list(frames), METADATA)
    wanted = np.argmax(model(frames.astype("float32"), training=False), -1)
    # Tiny frames, rendered: the network is unsure of them. With ranges of before ReLU6, 0.41 agree.
    assert np.mean(run(path, frames)[1] == wanted) > 0.85
    kinds = operators_run(path, tmp_path)
    assert not {"Conv", "FusedConv", "Clip"} & kinds.keys()
    # Depthwise kernels alone have all 8 bits: their products do not overflow.
    graph = Graph(path)
    for conv in graph.of("Conv"):
        kernel = graph.constants[graph.maker[conv.input[1]].input[0]]
        depthwise = any(a.name == "group" and a.i > 1 for a in conv.attribute)
        assert abs(kernel.astype(int)).max() == (127 if depthwise else 64)


@pytest.mark.parametrize("name", ["int8", "tensorrt"])
def test_int8_weights_and_statistics(written, name):
    graph = Graph(written[name])
    for conv in graph.of("Conv"):
        assert graph.kind(conv.input[0]) == "DequantizeLinear"
        weights, scales, zeros = graph.maker[conv.input[1]].input
        weights, scales, zeros = (graph.constants[name] for name in (weights, scales, zeros))
        assert weights.dtype == zeros.dtype == np.int8 and not zeros.any()
        assert scales.shape == (len(weights),)  # one a channel
    for node in graph.of("Sqrt", "Reciprocal", "Softmax"):
        assert graph.kind(node.input[0]) != "DequantizeLinear"
        assert graph.takers(node.output[0]) != {"QuantizeLinear"}


def test_int8_by_tensorrts_rules(written):
    graph = Graph(written["tensorrt"])
    quantizers = graph.of("QuantizeLinear", "DequantizeLinear")
    zeros = [graph.constants[node.input[2]] for node in quantizers]
    assert {zero.dtype for zero in zeros} == {np.dtype(np.int8)}
    assert not any(zero.any() for zero in zeros)
    # What is not int8 is float16, biases among it, and follows the convolution as it is.
    assert {len(node.input) for node in graph.of("Conv")} == {2}
    kinds = {TensorProto.FLOAT16}
    assert {graph.types[node.output[0]] for node in graph.of("Conv", "Relu", "Resize")} == kinds
    biases = [add for add in graph.of("Add") if add.input[1] in graph.constants]
    of_convs = [add for add in biases if graph.kind(add.input[0]) == "Conv"]
    assert len(of_convs) == 25
    for add in graph.of("Add"):
        kinds = {graph.kind(tensor) for tensor in add.input}
        assert kinds == {"DequantizeLinear"} or "DequantizeLinear" not in kinds


def test_nothing_is_printed(deployment, frames, tmp_path, capfd):
    onnx.write(deployment, "int8", tmp_path / "a.onnx", list(frames[:1]), {})
    assert capfd.readouterr() == ("", "")


def test_what_cannot_be_converted(deployment, tmp_path):
    with pytest.raises(AsapError, match=r"cannot make a graph in int8 of the network: No data"):
        onnx.write(deployment, "int8", tmp_path / "a.onnx", [], {})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("package", ["onnx", "tf2onnx", "onnxruntime"])
def test_a_missing_package_is_named(deployment, tmp_path, monkeypatch, package):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(AsapError, match=rf"{package} .*pip install 'asap-tf\[onnx\]'"):
        onnx.write(deployment, "fp32", tmp_path / "a.onnx", [], {})
    assert not list(tmp_path.iterdir())


def test_logits_and_batches(to_logits, frames, logits, tmp_path):
    path = tmp_path / "logits.onnx"
    for precision in FORMATS["onnx"].precisions:
        onnx.write(to_logits, precision, path, list(frames[:3]), {})
        name, result = run(path, frames[:2])
        assert (name, result.dtype, result.shape) == ("logits", np.float32, (2, 64, 128, 19))
        assert np.mean(result.argmax(-1) == logits[:2].argmax(-1)) > 0.96
        if precision == "fp32":
            np.testing.assert_allclose(result, logits[:2], atol=1e-4)
