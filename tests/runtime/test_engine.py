from __future__ import annotations

import sys
from ctypes.util import find_library

import pytest

from asap_tf.export.build_engine import build
from asap_tf.runtime import engine
from asap_tf.runtime.engine import CAPABILITIES, HEADER, Cuda, Engine, Failure, Stamp, stamp_of
from support import gpu

rtx = pytest.importorskip("tensorrt_rtx", reason="its wheels are for Python 3.11 and 3.12")


@pytest.fixture(scope="module")
def plan():
    """An engine of NVIDIA's builder for two kinds of GPU."""
    return build(rtx, gpu.graph().SerializeToString(), "fp32", ["8.6", "8.9"]).plan


def version() -> tuple[int, ...]:
    return tuple(map(int, rtx.__version__.split(".")))


def test_capabilities_are_those_of_the_package():
    names = {f"SM{capability.replace('.', '')}" for capability in CAPABILITIES}
    assert names == set(rtx.ComputeCapability.__members__) - {"NONE", "CURRENT"}


@pytest.mark.parametrize("capability", CAPABILITIES)
def test_the_header_says_for_which_gpu(capability):
    plan = build(rtx, gpu.graph().SerializeToString(), "fp32", [capability]).plan
    assert stamp_of(plan) == Stamp(version(), (capability,))


def test_the_header_of_several(plan):
    assert rtx.Runtime(rtx.Logger(rtx.Logger.ERROR)).engine_header_size == HEADER
    stamp = stamp_of(plan)
    assert stamp == Stamp(version(), ("8.6", "8.9"))
    assert "TensorRT for RTX 1." in str(stamp) and "8.6 or 8.9" in str(stamp)


def test_an_engine_that_was_cut_short(plan):
    for length in (10, HEADER, len(plan) - 1):
        with pytest.raises(Failure, match="damaged"):
            stamp_of(plan[:length])
    assert stamp_of(b"\x89PNG and so on") is None


def test_without_a_gpu_it_says_what_is_missing(plan, monkeypatch):
    monkeypatch.setattr(engine.ctypes, "CDLL", lambda name: gpu.Driver(gpus=0))
    with pytest.raises(Failure, match=r"8\.6 or 8\.9; missing: a GPU \(.*no CUDA-capable device"):
        Engine(plan)


def test_a_gpu_of_another_kind(plan):
    with pytest.raises(Failure, match=r"missing: such a GPU \(Imagined GPU has 9\.0\)"):
        Engine(plan, Cuda(gpu.Driver(capability="9.0")))


def test_an_engine_that_is_too_new(plan):
    newer = plan[:24] + bytes([1, 99, 0, 3]) + plan[28:]
    with pytest.raises(Failure, match=rf"RTX 1\.99\.0\.3 .*missing: .* {rtx.__version__} is inst"):
        Engine(newer, Cuda(gpu.Driver()))


def test_a_package_that_is_missing(plan, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorrt_rtx", None)
    with pytest.raises(Failure, match="package tensorrt_rtx .*pip install tensorrt-rtx-cu12"):
        Engine(plan, Cuda(gpu.Driver()))
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    with pytest.raises(Failure, match="no engine of TensorRT for RTX.*pip install tensorrt-cu12"):
        Engine(b"of TensorRT, or foreign", Cuda(gpu.Driver()))


def test_the_real_runtime_refuses_without_a_driver(plan):
    if find_library("cuda"):
        pytest.skip("there may be a GPU here")
    with pytest.raises(Failure, match="cannot open the engine.*CUDA driver"):
        Engine(plan, Cuda(gpu.Driver()))


def test_compiled_kernels_are_kept(plan, tmp_path, monkeypatch):
    module = gpu.runtime(gpu.graph().SerializeToString())
    monkeypatch.setitem(sys.modules, "tensorrt_rtx", module)
    cache = tmp_path / "asap.engine.cache"
    Engine(plan, Cuda(gpu.Driver()), cache).prepare()
    assert cache.read_bytes() == b"kernels" and module.cached is None
    Engine(plan, Cuda(gpu.Driver()), cache).prepare()
    assert module.cached == b"kernels"
    Engine(plan, Cuda(gpu.Driver()), tmp_path / "no such folder" / "cache").prepare()
