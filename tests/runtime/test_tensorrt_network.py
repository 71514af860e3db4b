from __future__ import annotations

import sys
import threading

import numpy as np
import onnxruntime
import pytest

from asap_tf.core.errors import AsapError
from asap_tf.runtime import engine
from asap_tf.runtime.tensorrt_network import TensorRTNetwork

VERSIONS = ["8.6.1", "10.16.1.11", "11.4.0.106"]


@pytest.fixture(params=VERSIONS)
def gpu(fake_gpu, monkeypatch, request):
    """The driver of a machine with a GPU, on which TensorRT is installed."""
    driver = fake_gpu.Driver()
    monkeypatch.setattr(engine.ctypes, "CDLL", lambda name: driver)
    monkeypatch.setitem(sys.modules, "tensorrt", fake_gpu.tensorrt(request.param))
    return driver


@pytest.fixture
def engine_file(fake_gpu, tmp_path):
    def write(**kwargs):
        (tmp_path / "asap.engine").write_bytes(fake_gpu.plan(fake_gpu.network(**kwargs)))
        return tmp_path / "asap.engine"

    return write


def some_frames(count: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, 32, 64, 3), np.uint8)


def by_onnx(model, frames: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(model.SerializeToString())
    return session.run(None, {"frames": frames})[0]


def test_labels_are_the_engines(gpu, fake_gpu, engine_file):
    network = TensorRTNetwork.open(engine_file())
    frames = some_frames(3)
    labels = network.labels(frames, (32, 64))
    np.testing.assert_array_equal(labels, by_onnx(fake_gpu.network(batch=3), frames))
    assert gpu.waited
    assert (network.size, network.batch, network.num_classes) == ((32, 64), 2, None)
    assert network.runtime.startswith("TensorRT ") and network.runtime.endswith(", Imagined GPU")


def test_probabilities_are_the_softmax_of_its_logits(gpu, fake_gpu, engine_file):
    frames = some_frames(2)
    network = TensorRTNetwork.open(engine_file(output="logits"))
    logits = by_onnx(fake_gpu.network("logits"), frames)
    expected = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    np.testing.assert_allclose(network.probabilities(frames, (32, 64)), expected, rtol=1e-5)


def test_results_are_the_callers_and_threads_may_take_turns(gpu, engine_file):
    network, frames = TensorRTNetwork.open(engine_file()), some_frames(4)
    first = network.run(frames[:2])
    kept, others = first.copy(), []
    thread = threading.Thread(target=lambda: others.append(network.run(frames[2:])))
    thread.start()
    thread.join()
    np.testing.assert_array_equal(first, kept)
    assert (others[0] != first).any()


def test_a_damaged_engine(gpu, engine_file):
    path = engine_file()
    path.write_bytes(path.read_bytes()[5:])
    with pytest.raises(AsapError, match=r"asap\.engine: TensorRT .* cannot open the engine"):
        TensorRTNetwork.open(path)


def test_an_engine_of_a_foreign_network(gpu, fake_gpu, engine_file):
    model = fake_gpu.network()
    model.graph.input[0].type.tensor_type.shape.dim[1].dim_param = "height"
    path = engine_file()
    path.write_bytes(fake_gpu.plan(model))
    with pytest.raises(AsapError, match=r"takes frames uint8 \(2, \?, 64, 3\)"):
        TensorRTNetwork.open(path)


def test_tensorrt_that_does_not_start(gpu, engine_file, monkeypatch):
    def broken(logger):
        raise TypeError("pybind11::init(): factory function returned nullptr")

    monkeypatch.setattr(sys.modules["tensorrt"], "Runtime", broken)
    with pytest.raises(AsapError, match="TensorRT cannot start; does nvidia-smi see a GPU"):
        TensorRTNetwork.open(engine_file())


def test_an_engine_that_cannot_run(gpu, engine_file, monkeypatch):
    network = TensorRTNetwork.open(engine_file())
    context = type(network._engine._context)
    monkeypatch.setattr(context, "execute_async_v3", lambda self, stream: False)
    with pytest.raises(AsapError, match="TensorRT cannot run the engine"):
        network.labels(some_frames(1), (32, 64))


def test_without_a_gpu(gpu, engine_file):
    gpu.gpus = 0
    with pytest.raises(AsapError, match="no CUDA-capable device is detected"):
        TensorRTNetwork.open(engine_file())


def test_without_a_driver(fake_gpu, engine_file, monkeypatch):
    def missing(name):
        raise OSError(f"{name}: cannot open shared object file")

    monkeypatch.setattr(engine.ctypes, "CDLL", missing)
    monkeypatch.setitem(sys.modules, "tensorrt", fake_gpu.tensorrt("10.0.1"))
    with pytest.raises(AsapError, match="no NVIDIA driver"):
        TensorRTNetwork.open(engine_file())


def test_without_tensorrt(engine_file, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    with pytest.raises(AsapError, match="pip install tensorrt-cu12"):
        TensorRTNetwork.open(engine_file())
