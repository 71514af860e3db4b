from __future__ import annotations

import numpy as np
import onnx
import pytest

from asap_tf.core.errors import AsapError, UsageError
from asap_tf.export import rtx
from asap_tf.export.build_engine import build
from asap_tf.export.rtx import build_ahead, tensors_of
from asap_tf.runtime.engine import CAPABILITIES, Failure, stamp_of
from support import gpu

tensorrt = pytest.importorskip("tensorrt_rtx", reason="its wheels are for Python 3.11 and 3.12")


@pytest.fixture
def graph(tmp_path):
    """Saves a small ONNX model, edited, and returns its file."""

    def save(edit=lambda graph: None, **kwargs):
        model = gpu.graph(**kwargs)
        edit(model.graph)
        onnx.save(model, tmp_path / "graph.onnx")
        return tmp_path / "graph.onnx"

    return save


def multiplied(graph):
    """Multiplies matrices, which TensorRT for RTX does not do for Turing in float32."""
    floats = onnx.numpy_helper.from_array(np.ones((64, 64), "float32"), "matrix")
    graph.initializer.append(floats)
    graph.node.insert(2, onnx.helper.make_node("MatMul", ["planes", "matrix"], ["product"], "mm"))
    graph.node[3].input[0] = "product"


def test_an_engine_for_every_gpu_in_one_block(graph, tmp_path):
    report = build_ahead(graph(), "fp32", tmp_path / "asap.engine")
    assert report.capabilities == CAPABILITIES and report.refused == {}
    assert report.blocks == 1 and report.layers >= 12 and report.activation_bytes > 0
    assert "in 1 block, " in str(report)
    plan = (tmp_path / "asap.engine").read_bytes()
    assert tensors_of(plan) == {
        "frames": ("uint8", (2, 32, 64, 3)),
        "labels": ("uint8", (2, 32, 64)),
    }


def test_logits_are_read_back(graph, tmp_path):
    build_ahead(graph(output="logits", batch=1), "fp32", tmp_path / "asap.engine", ["8.9"])
    plan = (tmp_path / "asap.engine").read_bytes()
    assert tensors_of(plan)["logits"] == ("float32", (1, 32, 64, 5))
    assert stamp_of(plan).capabilities == ("8.9",)
    assert tensors_of(b"vtrt") == {}


def test_gpus_that_the_builder_refuses_are_left_out(graph, tmp_path):
    path = graph(multiplied)
    report = build_ahead(path, "fp32", tmp_path / "asap.engine")
    assert report.capabilities == CAPABILITIES[1:]
    assert "Turing" in report.refused["7.5"] and "not for 7.5: " in str(report)
    with pytest.raises(AsapError, match="Turing"):
        build_ahead(path, "fp32", tmp_path / "asap.engine", ["7.5", "8.9"])


def test_a_refusal_changes_nothing_in_the_next_engine(graph, tmp_path):
    path = graph(multiplied)
    build_ahead(path, "fp32", tmp_path / "first.engine", ["8.9"])
    with pytest.raises(AsapError):
        build_ahead(path, "fp32", tmp_path / "none.engine", ["7.5"])
    build_ahead(path, "fp32", tmp_path / "second.engine", ["8.9"])
    first, second = (tmp_path / f"{name}.engine" for name in ("first", "second"))
    assert first.read_bytes() == second.read_bytes()


def test_tf32_is_not_float32(graph):
    content = graph().read_bytes()
    assert b"tf32=0" in build(tensorrt, content, "fp32", ["8.9"]).plan
    assert b"tf32=1" in build(tensorrt, content, "int8", ["8.9"]).plan


def integers_of(zero):
    def edit(graph):
        stored = {"scale": np.array(0.5, "float32"), "zero": zero}
        graph.initializer.extend(onnx.numpy_helper.from_array(v, k) for k, v in stored.items())
        pair = [
            onnx.helper.make_node("QuantizeLinear", ["map", "scale", "zero"], ["q"], "quantize"),
            onnx.helper.make_node("DequantizeLinear", ["q", "scale", "zero"], ["dq"], "back"),
        ]
        for node in graph.node:
            node.input[:] = ["dq" if name == "map" else name for name in node.input]
        graph.node.insert(3, pair[1])
        graph.node.insert(3, pair[0])

    return edit


def test_what_the_parser_says_is_passed_on(graph):
    build(tensorrt, graph(integers_of(np.array(0, np.int8))).read_bytes(), "int8", ["8.9"])
    content = graph(integers_of(np.array(3, np.int8))).read_bytes()
    with pytest.raises(Failure, match="ONNX graph: QuantizeLinear quantize: .*zero point"):
        build(tensorrt, content, "int8", ["8.9"])


@pytest.mark.parametrize("name", ["9.0", "8.7", "sm89", ""])
def test_capabilities_that_there_are_not(name, tmp_path):
    with pytest.raises(UsageError, match=r"`compute_capability` .*7\.5, 8\.0"):
        build_ahead(tmp_path / "none.onnx", "fp32", tmp_path / "asap.engine", [name])


def test_a_builder_that_crashes_or_hangs(graph, tmp_path, monkeypatch):
    with pytest.raises(AsapError, match="builder crashed"):
        build_ahead(tmp_path / "none.onnx", "fp32", tmp_path / "asap.engine")
    monkeypatch.setattr(rtx, "LIMIT", 0.01)
    with pytest.raises(AsapError, match="did not end within"):
        build_ahead(graph(), "fp32", tmp_path / "asap.engine")
