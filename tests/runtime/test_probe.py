from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import asap_tf
from asap_tf.core.errors import AsapError
from asap_tf.runtime.probe import probe
from asap_tf.saving import artifact_files, checksums, sidecar

RUNTIME = "import os, sys, time\ndef Interpreter(*args, **options): {}\n"


@pytest.fixture
def runtime(tmp_path, monkeypatch):
    """Puts a runtime that does as it is told in LiteRT's place, in child processes."""

    def install(code: str) -> None:
        package = tmp_path / "fake" / "ai_edge_litert"
        package.mkdir(parents=True)
        (package / "__init__.py").touch()
        (package / "interpreter.py").write_text(RUNTIME.format(code))
        monkeypatch.setenv("PYTHONPATH", str(package.parent))

    return install


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("os.kill(os.getpid(), 11)", r"damaged: its runtime crashed on it \(signal 11, SIGSEGV\)"),
        ("os.abort()", r"its runtime crashed on it \(signal 6, SIGABRT\)"),
        ("time.sleep(60)", "opening it and labeling a frame timed out after 2 s"),
        ("os._exit(7)", "cannot be opened: its runtime ended with 7"),
        ("raise ValueError('no\\nnonsense')", "cannot be opened as litert: no$"),
        ("raise MemoryError", "cannot be opened as litert: MemoryError$"),
        ("raise ModuleNotFoundError('x', name='x')", "cannot be opened as litert: x$"),
    ],
)
def test_whatever_a_runtime_does_to_the_child_is_an_error_here(copied, runtime, code, message):
    path = copied("labels.tflite", described=False)
    runtime(code)
    with pytest.raises(AsapError, match=f"labels.tflite: .*{message}") as raised:
        probe(path, limit=2 if "sleep" in code else 60)
    assert "\n" not in str(raised.value)


def test_a_sound_file_passes(copied):
    probe(copied("labels.tflite", described=False))
    probe(copied("logits.xml", described=False))


def test_where_less_memory_is_allowed_than_a_child_may_take(copied):
    limit = "resource.setrlimit(resource.RLIMIT_DATA, (4 << 30, 4 << 30))"
    code = f"import resource, sys, asap_tf; {limit}; asap_tf.load(sys.argv[1], threads=1)"
    path = copied("labels.tflite", described=False)
    done = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_load_probes_what_this_process_has_not_written(copied, runtime):
    own, strangers = copied("labels.tflite", described=False), copied("logits.tflite")
    # Of other bytes than `exported`, with checksums that a stranger can make as well.
    strangers.write_bytes(strangers.read_bytes() + b"\0")
    metadata = json.loads(sidecar(strangers).read_text())
    sidecar(strangers).write_text(json.dumps({**metadata, "files": checksums(strangers)}))
    runtime("os.abort()")
    with pytest.raises(AsapError, match="crashed"):
        asap_tf.load(strangers)
    asap_tf.load(own)


def test_foreign_models_say_what_they_take_and_give(tmp_path):
    import onnx
    from onnx import TensorProto, helper

    takes = helper.make_tensor_value_info("data", TensorProto.FLOAT, ["N", 3, 8, 8])
    gives = helper.make_tensor_value_info("prob", TensorProto.FLOAT, ["N", 3, 8, 8])
    graph = helper.make_graph([helper.make_node("Relu", ["data"], ["prob"])], "g", [takes], [gives])
    path = tmp_path / "foreign.onnx"
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, path)
    with pytest.raises(
        AsapError, match=r"foreign.onnx: not a seg.* takes data float32 \(\?, 3, 8, 8\) and gives"
    ):
        asap_tf.load(path)


def test_damaged_artifacts(exported, tmp_path):
    """The stress test in short."""
    script = Path(__file__).parents[1] / "stress" / "damaged_artifacts.py"
    for name in ("labels.tflite", "labels.onnx", "labels.xml"):
        for file in (*artifact_files(exported / name), sidecar(exported / name)):
            shutil.copy(file, tmp_path)
    command = [sys.executable, script, tmp_path, "--count", "6"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    rows = [line.strip("| ").split(" | ") for line in done.stdout.splitlines()[2:8]]
    assert len({row[0] for row in rows}) == 3
    for _, metadata, clear, *others in rows:
        assert sum(map(int, [clear, *others])) == 1
        assert metadata == "none" or clear == "1"
