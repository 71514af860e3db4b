from __future__ import annotations

from pathlib import Path

import pytest

from asap_tf.benchmark.artefact import Job
from asap_tf.benchmark.inference import compare, short_names
from asap_tf.errors import UsageError


def names(*paths, xla=()):
    return short_names([Job(Path(p), Path(), xla=i in xla) for i, p in enumerate(paths)])


def test_short_names():
    assert names("runs/camvid", "e/a.onnx", "e/b.onnx") == ["camvid", "a.onnx", "b.onnx"]
    assert names("e/a.onnx", "f/a.onnx", "b.onnx") == ["e/a.onnx", "f/a.onnx", "b.onnx"]
    assert names("a.onnx", "a.onnx") == ["a.onnx", "a.onnx (2)"]
    assert names("m.keras", "m.keras", xla=[1]) == ["m.keras", "m.keras, XLA"]


def test_mistakes_are_found_before_anything_is_opened(tmp_path):
    model = tmp_path / "m.onnx"
    model.touch()
    for arguments, message in [
        ({"size": (500, 1000)}, "--size 500x1000: want multiples of 32, as in 512x992"),
        ({"source": (1024, 9000)}, "--source 1024x9000: want sides of 32 to 8000 pixels"),
        ({"source": (16, 64)}, "--source 16x64"),
    ]:
        with pytest.raises(UsageError, match=message):
            compare([model], **arguments)
    with pytest.raises(UsageError, match="none.onnx: no such model"):
        compare([model, tmp_path / "none.onnx"])
