from __future__ import annotations

import json
import os
import signal

import pytest

from asap_tf.benchmark.artifact import ROWS, ArtifactSpec
from asap_tf.benchmark.worker import Worker
from asap_tf.core.errors import AsapError, UsageError


def test_life_and_death_of_a_process(small_model, source_folder):
    with Worker(ArtifactSpec(small_model, source_folder, threads=1)) as worker:
        assert worker.info.format == "keras" and worker.info.size == (64, 128)
        assert "1 thread" in worker.info.runtime
        assert worker.info.file_bytes == small_model.stat().st_size
        seconds = worker.turn()
        assert tuple(seconds) == ROWS and all(0 < t < 60 for t in seconds.values())
        # TensorFlow alone takes more than this.
        assert worker.peak_memory > 200_000_000

        process = worker._process
        os.kill(process.pid, signal.SIGINT)  # Ctrl-C is for the parent
        worker.turn()
        os.kill(process.pid, signal.SIGKILL)
        with pytest.raises(AsapError, match=r"model.keras: its process crashed \(SIGKILL\)"):
            worker.turn()
    assert not process.is_alive()


def test_errors_reach_the_parent(tmp_path, source_folder):
    with pytest.raises(UsageError, match="none.onnx: no such model"):
        Worker(ArtifactSpec(tmp_path / "none.onnx", source_folder))
    (tmp_path / "bad.onnx").write_bytes(b"no model")
    (tmp_path / "bad.onnx.json").write_text(json.dumps({"files": {"bad.onnx": "0" * 64}}))
    with pytest.raises(AsapError, match="bad.onnx: damaged"):
        Worker(ArtifactSpec(tmp_path / "bad.onnx", source_folder))


def test_ctrl_c_works_as_before_afterwards(tmp_path, source_folder):
    handler = signal.getsignal(signal.SIGINT)
    with pytest.raises(UsageError):
        Worker(ArtifactSpec(tmp_path / "none.onnx", source_folder))
    assert signal.getsignal(signal.SIGINT) is handler
