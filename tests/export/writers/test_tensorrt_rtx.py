from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import onnxruntime
import pytest

from asap_tf.core.errors import AsapError
from asap_tf.core.formats import FORMATS
from asap_tf.export.exporter import export
from asap_tf.export.graph import Deployment
from asap_tf.export.rtx import NOT_COMPARED, tensors_of
from asap_tf.export.writers import tensorrt_rtx
from asap_tf.runtime import load
from asap_tf.runtime.engine import CAPABILITIES, stamp_of

pytest.importorskip("tensorrt_rtx", reason="its wheels are for Python 3.11 and 3.12")


def written(deployment, precision, path, frames=(), capabilities=("8.9",)):
    """The metadata that the writer adds to."""
    metadata = {"compute_capability": capabilities}
    tensorrt_rtx.write(deployment, precision, path, list(frames), metadata)
    return metadata


@pytest.mark.parametrize("precision", FORMATS["tensorrt_rtx"].precisions)
def test_asap_is_one_block(model, frames, precision, tmp_path):
    path = tmp_path / "asap_rtx.engine"
    metadata = written(Deployment(model, (64, 128)), precision, path, frames[:2], ())
    turing = () if precision == "fp32" else CAPABILITIES[:1]
    assert metadata["compute_capability"] == (*turing, *CAPABILITIES[1:])
    assert ("7.5" in metadata["engine"]["refused"]) == (precision == "fp32")
    assert metadata["engine"]["blocks"] == 1
    assert stamp_of(path.read_bytes()).capabilities == metadata["compute_capability"]
    # What is in the engine: int8 is over float16.
    plan = path.read_bytes()
    kinds = {kind for kind in (b"half", b"float") if b" type=%b }" % kind in plan}
    assert kinds == ({b"float"} if precision == "fp32" else {b"half", b"float"})
    graph = onnxruntime.InferenceSession(path.with_suffix(".onnx"))
    assert graph.run(None, {"frames": frames[:1]})[0].shape == (1, 64, 128)


def test_logits_of_a_batch(model, tmp_path):
    deployment = Deployment(model, (64, 128), batch=2, output="logits")
    written(deployment, "fp16", tmp_path / "asap_rtx.engine")
    assert tensors_of((tmp_path / "asap_rtx.engine").read_bytes()) == {
        "frames": ("uint8", (2, 64, 128, 3)),
        "logits": ("float32", (2, 64, 128, 19)),
    }


def test_an_engine_of_something_else(model, tmp_path, monkeypatch):
    deployment = Deployment(model, (64, 128))
    other = replace(deployment, batch=2)
    graph = tensorrt_rtx.tensorrt_onnx.write
    monkeypatch.setattr(
        tensorrt_rtx.tensorrt_onnx, "write", lambda given, *others: graph(other, *others)
    )
    with pytest.raises(AsapError, match=r"the engine takes frames uint8 \(2, 64, 128, 3\)"):
        written(deployment, "fp16", tmp_path / "asap_rtx.engine")


def test_exported_without_a_gpu(trained_model, streets_root, tmp_path):
    (artifact,) = export(
        trained_model,
        tmp_path / "out",
        ["tensorrt_rtx"],
        ["fp16"],
        calibration=streets_root,
        compute_capability=["8.6", "8.9"],
    )
    assert artifact.path == tmp_path / "out" / "asap_fp16_rtx.engine"
    assert "compute capability 8.6, 8.9" in artifact.note and NOT_COMPARED in artifact.note
    assert artifact.parity.agreement >= 0.995
    assert {file.name for file in (tmp_path / "out").iterdir()} == {
        "asap_fp16_rtx.engine",
        "asap_fp16_rtx.engine.json",
    }
    entries = json.loads((tmp_path / "out" / "asap_fp16_rtx.engine.json").read_text())
    assert entries["on_gpu"] == NOT_COMPARED
    assert entries["compute_capability"] == ["8.6", "8.9"]
    assert entries["versions"]["tensorrt_rtx"] and np.isclose(entries["parity"]["floor"], 0.995)
    with pytest.raises(AsapError, match=r"8\.6 or 8\.9; missing: a GPU") as error:
        load(artifact.path)
    assert "\n" not in str(error.value)
