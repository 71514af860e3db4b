from __future__ import annotations

import sys

import pytest

from asap_tf.core.errors import AsapError
from asap_tf.export.graph import Deployment
from asap_tf.export.rtx import tensors_of
from asap_tf.export.writers import tensorrt


def test_an_engine_is_built(model, tmp_path, monkeypatch):
    # TensorRT 11 itself builds on a GPU only; TensorRT for RTX has its parser and builder.
    rtx = pytest.importorskip("tensorrt_rtx", reason="its wheels are for Python 3.11 and 3.12")
    monkeypatch.setitem(sys.modules, "tensorrt", rtx)
    path = tmp_path / "asap.engine"
    tensorrt.write(Deployment(model, (64, 128)), "fp16", path, [], {})
    assert tensors_of(path.read_bytes())["labels"] == ("uint8", (1, 64, 128))


def test_without_tensorrt(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    with pytest.raises(AsapError, match="TensorRT cannot be imported"):
        tensorrt.write(None, "fp32", tmp_path / "asap.engine", [], {})
    assert not list(tmp_path.iterdir())
