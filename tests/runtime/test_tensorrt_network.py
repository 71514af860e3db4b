from __future__ import annotations

import sys
import threading

import numpy as np
import onnxruntime
import pytest

from asap_tf.core.errors import AsapError
from asap_tf.export.build_engine import build
from asap_tf.runtime import engine, load
from asap_tf.runtime.tensorrt_network import TensorRTNetwork
from support import gpu

rtx = pytest.importorskip("tensorrt_rtx", reason="its wheels are for Python 3.11 and 3.12")


@pytest.fixture
def machine(monkeypatch, tmp_path):
    """Puts an engine on a machine with a GPU: its file, the module that runs it, the driver."""

    def prepare(model=None):
        graph = (model or gpu.graph()).SerializeToString()
        path, driver, module = tmp_path / "asap.engine", gpu.Driver(), gpu.runtime(graph)
        built = build(rtx, gpu.graph().SerializeToString(), "fp32", ["8.9"])
        path.write_bytes(built.plan)
        monkeypatch.setattr(engine.ctypes, "CDLL", lambda name: driver)
        monkeypatch.setitem(sys.modules, "tensorrt_rtx", module)
        return path, module, driver

    return prepare


def some_frames(count: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, 32, 64, 3), np.uint8)


def by_onnx(model, frames: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(model.SerializeToString())
    return session.run(None, {"frames": frames})[0]


def test_labels_are_the_engines(machine):
    path, _, driver = machine()
    network = TensorRTNetwork.open(path)
    frames = some_frames(3)
    labels = network.labels(frames, (32, 64))
    np.testing.assert_array_equal(labels, by_onnx(gpu.graph(batch=3), frames))
    assert driver.waited
    assert (network.size, network.batch, network.num_classes) == ((32, 64), 2, None)
    assert network.runtime == f"TensorRT for RTX {rtx.__version__}, Imagined GPU"
    assert path.with_name("asap.engine.cache").read_bytes() == b"kernels"


def test_probabilities_are_the_softmax_of_its_logits(machine):
    frames = some_frames(2)
    path, _, _ = machine(gpu.graph("logits"))
    network = TensorRTNetwork.open(path)
    logits = by_onnx(gpu.graph("logits"), frames)
    expected = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    np.testing.assert_allclose(network.probabilities(frames, (32, 64)), expected, rtol=1e-5)


def test_results_are_the_callers_and_threads_may_take_turns(machine):
    path, _, _ = machine()
    network, frames = TensorRTNetwork.open(path), some_frames(4)
    first = network.run(frames[:2])
    kept, others = first.copy(), []
    thread = threading.Thread(target=lambda: others.append(network.run(frames[2:])))
    thread.start()
    thread.join()
    np.testing.assert_array_equal(first, kept)
    assert (others[0] != first).any()


def test_an_engine_of_a_foreign_network(machine):
    model = gpu.graph()
    model.graph.input[0].type.tensor_type.shape.dim[1].dim_param = "height"
    path, _, _ = machine(model)
    with pytest.raises(AsapError, match=r"takes frames uint8 \(2, \?, 64, 3\)"):
        TensorRTNetwork.open(path)


def test_an_engine_that_cannot_run(machine):
    path, module, _ = machine()
    network = TensorRTNetwork.open(path)
    module.context.execute_async_v3.side_effect = lambda stream: False
    with pytest.raises(AsapError, match="TensorRT cannot run the engine"):
        network.labels(some_frames(1), (32, 64))


def test_engines_that_cannot_be_opened_say_so_in_one_line(tmp_path):
    plan = build(rtx, gpu.graph().SerializeToString(), "fp32", ["8.6"]).plan
    damaged, foreign = plan[:5000], b"no engine at all"
    newer = plan[:24] + bytes([9, 9, 9, 9]) + plan[28:]
    for content, reason in (
        (plan, "8.6"),
        (damaged, "damaged"),
        (foreign, "no engine of TensorRT"),
        (newer, "9.9.9.9"),
    ):
        (tmp_path / "asap.engine").write_bytes(content)
        with pytest.raises(AsapError, match=reason) as error:
            load(tmp_path / "asap.engine")  # which opens it in a child process
        assert str(error.value).startswith(f"{tmp_path / 'asap.engine'}: ")
        assert "\n" not in str(error.value)
