from __future__ import annotations

from pathlib import Path

import pytest

from asap_tf.benchmark import inference
from asap_tf.benchmark.artifact import ROWS, ArtifactInfo, ArtifactSpec
from asap_tf.benchmark.inference import compare, short_names
from asap_tf.core.errors import UsageError


def names(*paths, xla=()):
    return short_names([ArtifactSpec(Path(p), Path(), xla=i in xla) for i, p in enumerate(paths)])


def test_short_names():
    assert names("runs/camvid", "e/a.onnx", "e/b.onnx") == ["camvid", "a.onnx", "b.onnx"]
    assert names("e/a.onnx", "f/a.onnx", "b.onnx") == ["e/a.onnx", "f/a.onnx", "b.onnx"]
    assert names("a.onnx", "a.onnx") == ["a.onnx", "a.onnx (2)"]
    assert names(".", "b.onnx") == [".", "b.onnx"]
    assert names("m.keras", "m.keras", xla=[1]) == ["m.keras", "m.keras, XLA"]


class StubWorker:
    """As long as 10 ms for every letter in the name of its file; twice as fast with XLA."""

    open_now: list[StubWorker] = []

    def __init__(self, spec):
        self.spec = spec
        self.peak_memory = 0
        device = "GPU" if spec.path.suffix == ".keras" else "CPU"
        kind = "keras" if spec.path.suffix == ".keras" else "onnx"
        runtime = f"Stub, {device}, {spec.threads} threads"
        self.info = ArtifactInfo(kind, "fp32", runtime, (32, 32), 1, None, None, None)

    def turn(self):
        assert self in self.open_now
        self.peak_memory += 1
        seconds = 0.01 * len(self.spec.path.stem) / (1 + self.spec.xla)
        return dict.fromkeys(ROWS, seconds)

    def __enter__(self):
        self.open_now.append(self)
        return self

    def __exit__(self, *_):
        self.open_now.remove(self)


def test_every_artifact_has_its_own_result(monkeypatch, tmp_path):
    monkeypatch.setattr(inference, "Worker", StubWorker)
    paths = [tmp_path / name for name in ("ab.onnx", "abcd.keras", "abc.onnx")]
    for path in paths:
        path.touch()
    comparison = compare(paths, source=(32, 48), threads=2, seconds=0)
    assert StubWorker.open_now == []
    assert comparison.rounds == 100 and comparison.complete
    # The Keras model has a GPU, and so a twin.
    assert {r.name: round(r.seconds["jpeg"][0], 3) for r in comparison.results} == {
        "ab.onnx": 0.02,
        "abcd.keras": 0.04,
        "abcd.keras, XLA": 0.02,
        "abc.onnx": 0.03,
    }
    for result in comparison.results:
        assert set(result.seconds) == set(ROWS)
        assert all(len(times) == 100 for times in result.seconds.values())
        assert result.info.runtime.endswith("2 threads")
        assert result.warm_up.steady and result.peak_memory == 100 + result.warm_up.turns
    assert set(comparison.source_bytes) == {"jpeg", "png"}


def test_mistakes_are_found_before_anything_is_opened(tmp_path):
    model = tmp_path / "m.onnx"
    model.touch()
    for arguments, message in [
        ({"size": (30, 1000)}, "`size` 30x1000: at least 32x32 is needed"),
        ({"source": (1024, 9000)}, "`source` 1024x9000: sides have to be 32 to 8000 pixels"),
        ({"source": (16, 64)}, "`source` 16x64"),
    ]:
        with pytest.raises(UsageError, match=message):
            compare([model], **arguments)
    with pytest.raises(UsageError, match="none.onnx: no such model"):
        compare([model, tmp_path / "none.onnx"])
