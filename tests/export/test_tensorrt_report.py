from __future__ import annotations

import numpy as np
import onnx
import pytest
import tensorflow as tf

from asap_tf.export import tensorrt_report
from asap_tf.export.graph import Deployment
from asap_tf.export.tensorrt_report import onnx_refusals, onnx_report, report, segmentation
from asap_tf.export.writers import tf_trt
from asap_tf.export.writers.onnx import REWRITES, onnx_model


def graph_of(function, dtype=tf.float32):
    with tf.Graph().as_default() as graph:
        tf.identity(function(tf.compat.v1.placeholder(dtype, (1, 8, 8, 4), "frames")), "out")
    return graph


def block(x, name="conv"):
    return tf.nn.relu(tf.nn.conv2d(x, np.ones((3, 3, 4, 4), "float32"), 1, "SAME", name=name))


@pytest.fixture(scope="module")
def deployment(model):
    return Deployment(model, (64, 128))


def kinds(graph, names):
    return sorted(graph.get_operation_by_name(name).type for name in names)


@pytest.mark.parametrize("output", ["labels", "logits"])
def test_the_network_is_one_segment(model, output):
    deployment = Deployment(model, (64, 128), output=output)
    graph = deployment.graph(tf_trt.REWRITES).function.graph
    found = segmentation(graph)
    assert found.whole
    assert kinds(graph, found.before) == ["Cast", "Placeholder"]
    assert kinds(graph, found.after) == (["Cast"] if output == "labels" else []) + ["Identity"]


def test_the_graph_of_other_runtimes_is_not(deployment):
    graph = deployment.graph().function.graph
    # TensorFlow 2.17.1's own segmenter makes four engines of it (tests/tf217).
    found = segmentation(graph)
    assert len(found.segments) == 4
    assert set(kinds(graph, found.between)) == {"ResizeBilinear"}


def test_an_operator_that_is_not_taken_cuts_a_graph_in_two():
    graph = graph_of(lambda x: block(tf.math.floormod(block(x, "one"), 3.0), "two"))
    found = segmentation(graph)
    assert len(found.segments) == 2
    assert kinds(graph, found.between) == ["FloorMod"]
    assert not found.whole


def test_a_detour_cuts_although_the_rest_is_connected():
    def detour(x):
        x = block(x, "one")
        return block(x + tf.math.floormod(x, 3.0), "two")

    found = segmentation(graph_of(detour))
    assert len(found.segments) == 2
    assert not any({"one", "two"} <= segment for segment in found.segments)


def test_a_branch_that_is_not_taken_back_leaves_one():
    def branch(x):
        x = block(x, "one")
        return tf.cast(tf.argmax(block(x, "two"), -1, output_type=tf.int32), tf.uint8)

    found = segmentation(graph_of(branch))
    assert found.whole and len(found.segments[0]) == 5


def test_small_segments_are_not_made():
    graph = graph_of(lambda x: tf.nn.relu(tf.math.floormod(block(x), 3.0)))
    found = segmentation(graph)
    assert len(found.segments) == 1
    assert kinds(graph, found.after) == ["FloorMod", "Identity", "Relu"]
    assert len(segmentation(graph, minimum=1).segments) == 2


# What the segmenter of TensorFlow 2.17.1 said of each.
@pytest.mark.parametrize(
    ("function", "refusal"),
    [
        (lambda x: tf.argmax(x, -1, output_type=tf.int32), None),
        (lambda x: tf.argmax(x, -1), "int64"),
        (lambda x: tf.compat.v1.image.resize_bilinear(x, (16, 16), align_corners=True), None),
        (lambda x: tf.image.resize(x, (16, 16)), "align_corners"),
        (lambda x: tf.image.resize(x, (16, 16), method="nearest"), None),
        (lambda x: tf.cast(x, tf.float16), None),
        (lambda x: tf.cast(x, tf.int32), "float32 to int32"),
        (lambda x: tf.gather(x, [0, 1], axis=3), None),
        (lambda x: tf.tile(x, (1, 2, 1, 1)), None),
        (lambda x: tf.broadcast_to(x, (2, 8, 8, 4)), "no converter"),
        (lambda x: tf.where(x > 0, x, -x), None),
    ],
)
def test_refusals(function, refusal):
    found = segmentation(graph_of(function), minimum=1)
    whys = [why for why in found.refusals.values() if "input or output" not in why]
    assert (whys == []) if refusal is None else (refusal in whys[0])


def test_report(deployment, frames, tmp_path):
    file = tmp_path / "asap_int8.onnx"
    graph = deployment.graph(REWRITES)
    onnx.save(onnx_model(graph, "int8", list(frames[:2]), for_tensorrt=True), file)
    text = report(deployment, file)
    assert "| Conv2D | 30 | yes |" in text
    assert "**1 segment**" in text
    assert "Left to TensorFlow: Placeholder, Cast before it, Cast, Identity after it." in text
    assert "otherwise there would be 4 segments" in text
    assert "| Conv | 30 | yes | yes |" in text
    assert "8.6: one engine, nothing outside; 10 and 11: one engine, nothing outside" in text


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_onnx_graphs_are_taken_whole(deployment, tmp_path, precision):
    onnx.save(onnx_model(deployment.graph(REWRITES), precision), tmp_path / "a.onnx")
    assert not onnx_refusals(tmp_path / "a.onnx")


def edited(fake_gpu, tmp_path, edit):
    """What TensorRT has against the small network, edited."""
    model = fake_gpu.network("logits")
    edit(model.graph)
    onnx.save(model, tmp_path / "edited.onnx")
    return onnx_refusals(tmp_path / "edited.onnx")


def quantized(zero):
    def edit(graph):
        stored = {"scale": np.array(0.5, "float32"), "zero": zero}
        graph.initializer.extend(onnx.numpy_helper.from_array(v, k) for k, v in stored.items())
        pair = [
            onnx.helper.make_node("QuantizeLinear", ["map", "scale", "zero"], ["q"]),
            onnx.helper.make_node("DequantizeLinear", ["q", "scale", "zero"], ["dq"]),
        ]
        for node in graph.node:
            node.input[:] = ["dq" if name == "map" else name for name in node.input]
        graph.node.insert(3, pair[1])
        graph.node.insert(3, pair[0])

    return edit


def test_int8_around_zero(fake_gpu, tmp_path):
    assert not edited(fake_gpu, tmp_path, quantized(np.array(0, np.int8)))
    for zero in (np.array(3, np.int8), np.array(0, np.uint8)):
        refusals = edited(fake_gpu, tmp_path, quantized(zero))
        assert {kind for kind, why in refusals} == {"QuantizeLinear", "DequantizeLinear"}


def test_uint8_of_integers_and_within_the_graph(fake_gpu, tmp_path):
    model = fake_gpu.network()
    labels = model.graph.node.pop()
    labels.input[0] = "places"
    model.graph.node.pop()
    model.graph.node.append(labels)
    onnx.save(model, tmp_path / "a.onnx")
    why = "uint8 at input and output only, cast from and to floats"
    assert onnx_refusals(tmp_path / "a.onnx") == {("Cast", why): 1}


def test_stored_int8_weights_are_for_later_versions(fake_gpu, tmp_path):
    def edit(graph):
        stored = {"scale": np.array(0.5, "float32"), "q": np.ones((5, 3, 1, 1), np.int8)}
        graph.initializer.extend(onnx.numpy_helper.from_array(v, k) for k, v in stored.items())
        graph.initializer.remove(next(t for t in graph.initializer if t.name == "kernel"))
        graph.node.insert(0, onnx.helper.make_node("DequantizeLinear", ["q", "scale"], ["kernel"]))

    assert edited(fake_gpu, tmp_path, edit).keys() == {
        ("DequantizeLinear", "weights as floats before a Q/DQ pair only")
    }
    assert not onnx_refusals(tmp_path / "edited.onnx", tensorrt_report.ONNX_10)


def test_operators_of_later_versions(fake_gpu, tmp_path):
    def edit(graph):
        (node,) = [node for node in graph.node if node.op_type == "Sqrt"]
        node.op_type = "Hardmax"

    assert edited(fake_gpu, tmp_path, edit) == {("Hardmax", "no converter"): 1}
    assert not onnx_refusals(tmp_path / "edited.onnx", tensorrt_report.ONNX_10)
    text = onnx_report(tmp_path / "edited.onnx")
    assert "| Hardmax | 1 | no (no converter) | yes |" in text
    assert "**8.6: none; 10 and 11: one engine, nothing outside.**" in text
