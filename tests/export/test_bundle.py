from __future__ import annotations

import json
import runpy
import subprocess
import sys
from ctypes.util import find_library
from importlib.util import find_spec

import numpy as np
import onnx
import onnxruntime
import pytest

from asap_tf.core.errors import AsapError
from asap_tf.export import build_and_time
from asap_tf.export.build_and_time import agreement, interleaved, main, table
from asap_tf.export.bundle import write_bundle
from asap_tf.runtime.engine import Cuda, Engine

SIZE = (32, 64)
METADATA = {"size": SIZE, "batch": 2, "output": "labels", "classes": [{"name": "road"}]}


@pytest.fixture
def bundle(fake_gpu, tmp_path):
    """A bundle of the small network, with frames and the labels that ONNX Runtime gives."""
    for precision in ("fp32", "fp16", "int8"):
        onnx.save(fake_gpu.network(), tmp_path / f"{precision}.onnx")
    frames = np.random.default_rng(0).integers(0, 256, (5, *SIZE, 3), np.uint8)
    content = fake_gpu.network(batch=5).SerializeToString()
    labels = onnxruntime.InferenceSession(content).run(None, {"frames": frames})[0]
    files = {p: tmp_path / f"{p}.onnx" for p in ("fp32", "fp16", "int8")}
    write_bundle(tmp_path / "bundle", files, frames, labels, METADATA)
    return tmp_path / "bundle"


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(build_and_time, "SECONDS", 0.01)


def test_nothing_of_asap_tf_is_needed_up_to_the_gpu(bundle):
    if find_spec("tensorrt") or find_library("cuda"):
        pytest.skip("what the script is to miss is here")
    # -I keeps the packages' folder in but everything of this checkout out.
    hide = "import sys; sys.modules['asap_tf'] = None; sys.path.insert(0, '.')\n"
    hide += "import runpy; runpy.run_path('build_and_time.py', run_name='__main__')"
    command = [sys.executable, "-I", "-c", hide]
    child = subprocess.run(command, cwd=bundle, capture_output=True, text=True)
    assert child.returncode == 1
    assert child.stderr.splitlines() == [
        "missing: tensorrt (No module named 'tensorrt'); get it by: pip install tensorrt-cu12",
        "missing: a GPU (no NVIDIA driver (libcuda.so.1 cannot be loaded)); "
        "run this on a machine with one",
    ]


@pytest.mark.parametrize("version", ["8.6.1", "10.16.1.11", "11.4.0.106"])
def test_the_whole_of_it(bundle, fake_gpu, monkeypatch, capsys, quick, version):
    monkeypatch.setitem(sys.modules, "tensorrt", fake_gpu.tensorrt(version))
    assert main(bundle, Cuda(fake_gpu.Driver())) == 0
    results = json.loads((bundle / "results.json").read_text())
    assert results["gpu"] == "Imagined GPU" and results["tensorrt"] == version
    assert list(results["engines"]) == ["fp32", "fp16", "int8"]
    for precision, row in results["engines"].items():
        assert row["agreement"] == 1.0
        for way in ("network", "with_copies"):
            assert 0 < row[way]["p50_ms"] <= row[way]["p90_ms"]
            assert row[way]["frames_per_second"] == pytest.approx(2000 / row[way]["p50_ms"])
        assert (bundle / f"asap_{precision}.engine").exists()
    printed = capsys.readouterr().out
    assert "| fp16 | 100.00% |" in printed
    assert "| ASAP (TRT) in the paper | | | | | | | | 191 |" in printed


def test_too_little_agreement_is_a_failure(bundle, fake_gpu, monkeypatch, capsys, quick):
    stored = dict(np.load(bundle / "frames.npz"))
    stored["labels"][0, :16] += 1  # a tenth of the pixels
    np.savez(bundle / "frames.npz", **stored)
    monkeypatch.setitem(sys.modules, "tensorrt", fake_gpu.tensorrt("10.0.1"))
    assert main(bundle, Cuda(fake_gpu.Driver())) == 1
    assert "| int8 | 90.00% (floor: 97.0%) |" in capsys.readouterr().out


def test_an_engine_that_cannot_be_built_does_not_stop_the_others(
    bundle, fake_gpu, monkeypatch, capsys, quick
):
    model = onnx.load(bundle / "asap_int8.onnx")
    model.graph.node[7].op_type = "Floor"
    del model.graph.node[7].input[1:]
    onnx.save(model, bundle / "asap_int8.onnx")
    trt = fake_gpu.tensorrt("10.0.1", refuses=("Floor",))
    monkeypatch.setitem(sys.modules, "tensorrt", trt)
    assert main(bundle, Cuda(fake_gpu.Driver())) == 1
    printed = capsys.readouterr().out
    assert "| int8 | TensorRT 10.0.1 cannot read the ONNX graph: Floor is not known |" in printed
    assert "| fp16 | 100.00% |" in printed


def test_agreement_of_a_last_batch_that_is_short_and_of_logits(fake_gpu):
    frames = np.random.default_rng(1).integers(0, 256, (3, *SIZE, 3), np.uint8)
    content = fake_gpu.network("logits", batch=3).SerializeToString()
    logits = onnxruntime.InferenceSession(content).run(None, {"frames": frames})[0]
    labels = logits.argmax(-1)
    labels[2, :8] += 1
    plan = fake_gpu.plan(fake_gpu.network("logits", batch=2))
    engine = Engine(fake_gpu.tensorrt("10.0.1"), Cuda(fake_gpu.Driver()), plan).prepare()
    assert agreement(engine, frames, labels) == pytest.approx(1 - 0.25 / 3)


def test_calls_take_turns(monkeypatch):
    order, clock = [], iter(range(10**9))
    monkeypatch.setattr(build_and_time.time, "perf_counter", lambda: next(clock) / 1000)
    monkeypatch.setattr(build_and_time, "SECONDS", 0.2)
    times = interleaved({name: lambda name=name: order.append(name) for name in "ab"})
    assert len(times["a"]) == len(times["b"]) >= build_and_time.MIN_RUNS
    np.testing.assert_allclose(times["a"], 1.0)  # a millisecond passes at every look at the clock
    measured = "".join(order)[-2 * len(times["a"]) :]
    burst = build_and_time.BURST
    assert measured == ("a" * burst + "b" * burst) * (len(times["a"]) // burst)


def test_table_columns_fit_its_header(bundle):
    times = {"p50_ms": 4.0, "p90_ms": 5.0, "frames_per_second": 250.0}
    row = {"floor": 0.97, "agreement": 0.991, "megabytes": 12.34, "network": times}
    results = {**METADATA, "gpu": "RTX", "tensorrt": "10.0"}
    results["engines"] = {"int8": {**row, "with_copies": times}, "fp16": {"error": "x"}}
    lines = [line for line in table(results).splitlines() if line.startswith("|")]
    assert {line.count("|") for line in lines} == {10}
    assert "| int8 | 99.10% | 12.3 | 4.00 | 5.00 | 250.00 | 4.00 | 5.00 | 250.00 |" in lines


def test_what_is_in_the_folder(bundle):
    assert sorted(p.name for p in bundle.iterdir()) == [
        "README.md",
        "asap_fp16.onnx",
        "asap_fp32.onnx",
        "asap_int8.onnx",
        "build_and_time.py",
        "bundle.json",
        "engine.py",
        "frames.npz",
    ]
    entries = json.loads((bundle / "bundle.json").read_text())
    assert entries["floors"] == {"fp32": 0.999, "fp16": 0.995, "int8": 0.97}
    assert entries["classes"] == METADATA["classes"]
    assert "uint8 RGB frames (2, 32, 64, 3) to labels" in (bundle / "README.md").read_text()
    assert callable(runpy.run_path(str(bundle / "engine.py"))["Engine"])


def test_a_graph_that_tensorrt_would_not_take(fake_gpu, tmp_path):
    model = fake_gpu.network()
    model.graph.node[8].op_type = "Hardmax"
    onnx.save(model, tmp_path / "a.onnx")
    with pytest.raises(AsapError, match=r"a\.onnx: TensorRT does not take Hardmax"):
        write_bundle(tmp_path / "b", {"fp32": tmp_path / "a.onnx"}, None, None, METADATA)
