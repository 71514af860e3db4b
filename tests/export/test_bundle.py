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

from asap_tf.export import build_and_time
from asap_tf.export.build_and_time import agreement, interleaved, main, table
from asap_tf.export.build_engine import build
from asap_tf.export.bundle import complete
from asap_tf.export.frames import Frames
from asap_tf.export.package import Contents
from asap_tf.export.parity import Answers, Reference
from asap_tf.runtime.engine import Cuda, Engine, stamp_of
from support import gpu

SIZE = (32, 64)
METADATA = {"size": SIZE, "batch": 2, "output": "labels", "classes": [{"name": "road"}]}

needs_rtx = pytest.mark.skipif(
    find_spec("tensorrt_rtx") is None, reason="its wheels are for Python 3.11 and 3.12"
)


@pytest.fixture
def bundle(tmp_path):
    """A bundle of a small network, with frames and the labels that ONNX Runtime gives."""
    folder = tmp_path / "bundle"
    folder.mkdir()
    artifacts = {p: folder / f"asap_{p}.onnx" for p in ("fp32", "fp16", "int8")}
    for file in artifacts.values():
        onnx.save(gpu.graph(), file)
    frames = np.random.default_rng(0).integers(0, 256, (5, *SIZE, 3), np.uint8)
    content = gpu.graph(batch=5).SerializeToString()
    labels = onnxruntime.InferenceSession(content).run(None, {"frames": frames})[0]
    if find_spec("tensorrt_rtx"):
        import tensorrt_rtx

        plan = build(tensorrt_rtx, artifacts["fp16"].read_bytes(), "fp16", ["8.9"]).plan
        artifacts["fp16"].rename(folder / "asap_fp16_rtx.onnx")
        artifacts["fp16"] = folder / "asap_fp16_rtx.engine"
        artifacts["fp16"].write_bytes(plan)
        entries = {"on_gpu": "not yet", "note": "1 block"}
        (folder / "asap_fp16_rtx.engine.json").write_text(json.dumps(entries))
    reference = Reference(Frames(frames, None, "5 frames"), (), Answers(labels))
    complete(Contents(folder, artifacts, reference, METADATA))
    return folder


@pytest.fixture
def rtx(monkeypatch):
    """TensorRT for RTX on a machine whose engines are run by ONNX Runtime."""
    monkeypatch.setattr(build_and_time, "SECONDS", 0.01)
    module = gpu.runtime(gpu.graph().SerializeToString())
    monkeypatch.setitem(sys.modules, "tensorrt_rtx", module)
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    return module


def run_alone(bundle, hidden):
    """Runs the bundle's script as a user does, without asap-tf and the modules `hidden`."""
    # -I keeps the packages' folder in but everything of this checkout out.
    hide = f"import sys; sys.modules |= dict.fromkeys({['asap_tf', *hidden]})\n"
    hide += "sys.path.insert(0, '.')\nimport runpy\n"
    hide += "runpy.run_path('build_and_time.py', run_name='__main__')"
    command = [sys.executable, "-I", "-c", hide]
    return subprocess.run(command, cwd=bundle, capture_output=True, text=True)


@pytest.mark.skipif(bool(find_library("cuda")), reason="there may be a GPU here")
def test_nothing_of_asap_tf_is_needed_up_to_the_gpu(bundle):
    child = run_alone(bundle, ["tensorrt", "tensorrt_rtx"])
    assert child.returncode == 1
    packages, device = child.stderr.splitlines()
    assert packages.startswith("missing: tensorrt_rtx (") and " or tensorrt (" in packages
    assert "pip install tensorrt-rtx-cu12" in packages
    assert device.startswith("missing: a GPU (no NVIDIA driver")
    if find_spec("tensorrt_rtx"):
        child = run_alone(bundle, [])
        assert child.stderr.startswith("missing: a GPU") and child.returncode == 1


@needs_rtx
def test_the_engines_in_it_are_taken_and_the_others_built(bundle, rtx, capsys):
    assert main(bundle, Cuda(gpu.Driver())) == 0
    results = json.loads((bundle / "results.json").read_text())
    assert results["gpu"] == "Imagined GPU"
    assert list(results["engines"]) == ["fp32", "fp16", "int8"]
    for row in results["engines"].values():
        assert row["agreement"] == 1.0 and row["runtime"].startswith("TensorRT for RTX 1.")
        for way in ("network", "with_copies"):
            assert 0 < row[way]["p50_ms"] <= row[way]["p90_ms"]
            assert row[way]["frames_per_second"] == pytest.approx(2000 / row[way]["p50_ms"])
    built = [p for p in ("fp32", "fp16", "int8") if (bundle / f"asap_{p}.engine").exists()]
    assert built == ["fp32", "int8"]
    assert stamp_of((bundle / "asap_int8.engine").read_bytes()).capabilities == ("8.9",)
    entries = json.loads((bundle / "asap_fp16_rtx.engine.json").read_text())
    assert entries["on_gpu"].startswith("100.00% of labels as in Keras, by TensorRT for RTX")
    printed = capsys.readouterr().out
    assert "| fp16, TensorRT for RTX" in printed and "| 100.00% |" in printed
    assert "| ASAP (TRT) in the paper | | | | | | | | 191 |" in printed


@needs_rtx
def test_an_engine_for_another_gpu_is_not_taken(bundle, rtx, capsys):
    assert main(bundle, Cuda(gpu.Driver(capability="12.0"))) == 0
    assert "not asap_fp16_rtx.engine: " in capsys.readouterr().out
    assert stamp_of((bundle / "asap_fp16.engine").read_bytes()).capabilities == ("12.0",)


@needs_rtx
def test_a_gpu_that_is_no_rtx(bundle, rtx, capsys):
    assert main(bundle, Cuda(gpu.Driver(capability="9.0"))) == 1
    printed = capsys.readouterr().out
    assert "TensorRT for RTX is not for Imagined GPU: pip install tensorrt-cu12" in printed


@needs_rtx
def test_too_little_agreement_is_a_failure(bundle, rtx, capsys):
    stored = dict(np.load(bundle / "frames.npz"))
    stored["labels"][0, :16] += 1  # a tenth of the pixels
    np.savez(bundle / "frames.npz", **stored)
    assert main(bundle, Cuda(gpu.Driver())) == 1
    assert "| 90.00% (floor: 97.0%) |" in capsys.readouterr().out


@needs_rtx
def test_an_engine_that_cannot_be_built_does_not_stop_the_others(bundle, rtx, capsys):
    model = onnx.load(bundle / "asap_int8.onnx")
    model.graph.node[7].op_type = "Det"
    del model.graph.node[7].input[1:]
    onnx.save(model, bundle / "asap_int8.onnx")
    assert main(bundle, Cuda(gpu.Driver())) == 1
    printed = capsys.readouterr().out
    assert "| int8 | TensorRT for RTX 1." in printed
    assert "cannot read the ONNX graph: Det" in printed
    assert "| fp16, TensorRT for RTX" in printed


@needs_rtx
def test_agreement_of_a_last_batch_that_is_short_and_of_logits(monkeypatch):
    import tensorrt_rtx

    frames = np.random.default_rng(1).integers(0, 256, (3, *SIZE, 3), np.uint8)
    content = gpu.graph("logits", batch=3).SerializeToString()
    logits = onnxruntime.InferenceSession(content).run(None, {"frames": frames})[0]
    labels = logits.argmax(-1)
    labels[2, :8] += 1
    content = gpu.graph("logits", batch=2).SerializeToString()
    plan = build(tensorrt_rtx, content, "fp32", ["8.9"]).plan
    monkeypatch.setitem(sys.modules, "tensorrt_rtx", gpu.runtime(content))
    engine = Engine(plan, Cuda(gpu.Driver())).prepare()
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


def test_table_columns_fit_its_header():
    times = {"p50_ms": 4.0, "p90_ms": 5.0, "frames_per_second": 250.0}
    row = {"floor": 0.97, "agreement": 0.991, "megabytes": 12.34, "network": times}
    row |= {"with_copies": times, "runtime": "TensorRT 10.0, RTX"}
    results = {**METADATA, "gpu": "RTX", "engines": {"int8": row, "fp16": {"error": "x"}}}
    lines = [line for line in table(results).splitlines() if line.startswith("|")]
    assert {line.count("|") for line in lines} == {10}
    cells = "| 99.10% | 12.3 | 4.00 | 5.00 | 250.00 | 4.00 | 5.00 | 250.00 |"
    assert f"| int8, TensorRT 10.0, RTX {cells}" in lines


def test_what_is_in_the_folder(bundle):
    engine = ["asap_fp16_rtx.engine", "asap_fp16_rtx.engine.json", "asap_fp16_rtx.onnx"]
    assert sorted(p.name for p in bundle.iterdir()) == [
        "README.md",
        *(engine if find_spec("tensorrt_rtx") else ["asap_fp16.onnx"]),
        "asap_fp32.onnx",
        "asap_int8.onnx",
        "build_and_time.py",
        "build_engine.py",
        "bundle.json",
        "engine.py",
        "frames.npz",
        "operators.md",
    ]
    entries = json.loads((bundle / "bundle.json").read_text())
    assert entries["floors"] == {"fp32": 0.999, "fp16": 0.995, "int8": 0.97}
    assert entries["classes"] == METADATA["classes"]
    assert "uint8 RGB frames (2, 32, 64, 3) to labels" in (bundle / "README.md").read_text()
    assert callable(runpy.run_path(str(bundle / "engine.py"))["Engine"])
