from __future__ import annotations

import base64
import sys

import numpy as np
import onnx
import onnxruntime
import pytest

from asap_tf.core.errors import AsapError
from asap_tf.export.build_and_time import WORKSPACE, build, source
from asap_tf.export.graph import Deployment
from asap_tf.export.writers import tensorrt
from asap_tf.runtime.engine import Failure

VERSIONS = ["8.6.1", "10.16.1.11", "11.4.0.106"]
STATISTICS = {"mean", "square", "variance", "above_zero", "deviation"}


@pytest.fixture(params=VERSIONS)
def trt(fake_gpu, request):
    return fake_gpu.tensorrt(request.param)


def labels_of(content: bytes, frames: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(content)
    return session.run(None, {"frames": frames})[0]


def kept_float32(trt) -> set[str]:
    layers = trt.last["network"].layers
    assert all(hasattr(x, "precision") == hasattr(x, "output_type") for x in layers)
    return {layer.name for layer in layers if hasattr(layer, "precision")}


def test_float32_is_float32(trt, fake_gpu):
    build(trt, fake_gpu.network().SerializeToString(), "fp32")
    assert trt.last["flags"] == set()  # TF32, on by default, is off
    assert trt.last["limit"] == WORKSPACE
    assert kept_float32(trt) == set()


@pytest.mark.parametrize(("precision", "flags"), [("fp16", {"FP16"}), ("int8", {"FP16", "INT8"})])
def test_precision_is_in_flags_up_to_10_and_in_the_graph_from_11(trt, fake_gpu, precision, flags):
    build(trt, fake_gpu.network().SerializeToString(), precision)
    if trt.__version__.startswith("11"):
        assert trt.last["flags"] == {"TF32"}
        assert kept_float32(trt) == set()
    else:
        assert trt.last["flags"] == {"TF32", "OBEY_PRECISION_CONSTRAINTS"} | flags
        assert kept_float32(trt) == STATISTICS


def test_the_graph_for_a_precision(fake_gpu):
    for version, graphs in zip(VERSIONS, ["fp32", "fp32", "fp16"], strict=True):
        trt = fake_gpu.tensorrt(version)
        assert [source(trt, p) for p in ("fp32", "fp16", "int8")] == ["fp32", graphs, "int8"]


def test_what_the_parser_says_is_passed_on(fake_gpu):
    trt = fake_gpu.tensorrt("10.0.1", refuses=("Sqrt", "Div"))
    with pytest.raises(Failure, match="ONNX graph: Sqrt is not known; Div is not known"):
        build(trt, fake_gpu.network().SerializeToString(), "fp32")


def test_a_builder_that_does_not_start(trt, fake_gpu, monkeypatch):
    def broken(logger):
        raise TypeError("pybind11::init(): factory function returned nullptr")

    monkeypatch.setattr(trt, "Builder", broken)
    with pytest.raises(Failure, match="nvidia-smi"):
        build(trt, b"", "fp32")


def test_a_build_that_fails(trt, fake_gpu, monkeypatch):
    monkeypatch.setattr(trt.Builder, "build_serialized_network", lambda *args: None)
    with pytest.raises(Failure, match="cannot build the engine"):
        build(trt, fake_gpu.network().SerializeToString(), "fp32")


def test_kernels_are_timed_once(trt, fake_gpu, tmp_path):
    content, cache = fake_gpu.network().SerializeToString(), tmp_path / "timing.cache"
    build(trt, content, "fp32", cache)
    assert trt.last["known"] == b""
    build(trt, content, "fp32", cache)
    assert trt.last["known"] == b"timed"
    cache.write_bytes(b"of another GPU")
    build(trt, content, "fp32", cache)
    assert trt.last["known"] == b"" and cache.read_bytes() == b"timed"


@pytest.fixture(scope="module")
def deployment(model):
    return Deployment(model, (64, 128))


@pytest.mark.parametrize(
    ("version", "precision"), [("8.6.1", "fp16"), ("10.16.1.11", "int8"), ("11.4.0.106", "fp16")]
)
def test_an_engine_holds_the_network(
    fake_gpu, deployment, frames, logits, tmp_path, monkeypatch, version, precision
):
    monkeypatch.setitem(sys.modules, "tensorrt", fake_gpu.tensorrt(version))
    tensorrt.write(deployment, precision, tmp_path / "asap.engine", list(frames[:4]), {})
    plan = (tmp_path / "asap.engine").read_bytes()
    content = base64.b64decode(plan.removeprefix(b"plan:"))
    agreement = np.mean(labels_of(content, frames[:1]) == logits[:1].argmax(-1))
    assert agreement > (0.95 if precision == "int8" else 0.99)
    model = onnx.load_from_string(content)
    assert ("QuantizeLinear" in {n.op_type for n in model.graph.node}) == (precision == "int8")
    dtypes = {tensor.data_type for tensor in model.graph.initializer}
    assert (onnx.TensorProto.FLOAT16 in dtypes) == version.startswith("11")


def test_without_tensorrt(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    with pytest.raises(AsapError, match="TensorRT cannot be imported"):
        tensorrt.write(None, "fp32", tmp_path / "asap.engine", [], {})
    assert not list(tmp_path.iterdir())
