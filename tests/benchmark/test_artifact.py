from __future__ import annotations

import subprocess
import sys
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from PIL import Image

from asap_tf.benchmark import artifact
from asap_tf.benchmark.artifact import (
    ROWS,
    ArtifactRunner,
    ArtifactSpec,
    file_bytes,
    timed,
    write_source,
)
from asap_tf.core.errors import UsageError
from asap_tf.streets import render


@pytest.fixture
def opened(monkeypatch, tmp_path, source_folder):
    """Opens a stub as if it were a file of 1000 bytes."""
    path = tmp_path / "x.tflite"
    path.write_bytes(bytes(1000))

    def open_it(segmenter, **options):
        monkeypatch.setattr(artifact, "load", lambda path, *options: segmenter)
        return ArtifactRunner(ArtifactSpec(path, source_folder, **options))

    return open_it


def test_facts(opened, segmenter):
    info = opened(segmenter).info
    assert (info.format, info.precision, info.runtime) == (
        "litert",
        "int8",
        "Stub 1.0, 1 thread",
    )
    assert (info.size, info.file_bytes, info.parameters) == ((32, 64), 1000, 1_500_000)
    assert (info.multiply_accumulates, info.agreement) == (None, 0.991)


def test_rows_give_the_label_maps_that_they_are_named_for(opened, segmenter, source_folder):
    rows = opened(segmenter).rows
    assert tuple(rows) == ROWS
    source = np.asarray(Image.open(source_folder / "source.png"))
    small = cv2.resize(source, (64, 32))
    np.testing.assert_array_equal(rows["network"](), small[None, ..., 0] // 16)
    from_memory = rows["resize"]()
    assert from_memory.shape == (1, 64, 128)
    np.testing.assert_array_equal(from_memory, segmenter.predict(source[None]))
    np.testing.assert_array_equal(rows["png"](), from_memory)
    # JPEG is lossy: nearly the same picture.
    assert 0 < np.mean(rows["jpeg"]() != from_memory) < 0.5


def test_a_turn_is_a_lead_in_and_then_every_row_once(opened, segmenter, monkeypatch):
    monkeypatch.setattr(artifact, "LEAD_IN", 0)
    runner = opened(segmenter)
    log = []
    runner.rows = {row: (lambda row=row: log.append(row)) for row in runner.rows}
    seconds = runner.turn()
    assert log == ["network", *ROWS]
    assert tuple(seconds) == ROWS and all(t > 0 for t in seconds.values())


def test_lead_in_lasts_long_enough(opened, segmenter, monkeypatch):
    now = 0.0

    def network():
        nonlocal now
        now += 0.03

    monkeypatch.setattr(artifact, "time", SimpleNamespace(perf_counter=lambda: now))
    runner = opened(segmenter)
    runner.rows = {"network": network}
    assert runner.turn() == {"network": pytest.approx(0.03)}
    assert now == pytest.approx(5 * 0.03)  # four to pass 0.1 s, and the one that counts


def test_timed_spans_the_call(monkeypatch):
    clock = iter([2.0, 5.5])
    monkeypatch.setattr(artifact, "time", SimpleNamespace(perf_counter=lambda: next(clock)))
    assert timed(lambda: None) == 3.5


def test_size(opened, segmenter, any_size):
    assert opened(segmenter, size=(32, 64)).info.size == (32, 64)
    assert opened(any_size, size=(64, 96)).info.size == (64, 96)
    any_size.size = (32, 32)
    runner = opened(any_size)
    runner.rows["resize"]()
    assert runner.info.size == (32, 32)
    assert any_size.network.seen == [(1, 32, 32, 3)]


def test_sizes_that_do_not_fit(opened, segmenter, any_size, several_frames):
    for given, options, message in [
        (segmenter, {"size": (64, 64)}, "runs at 32x64 only, not at 64x64; export it at that size"),
        (any_size, {}, "give `size`"),
        (several_frames, {}, "batches of several frames"),
    ]:
        with pytest.raises(UsageError, match=f"x.tflite: .*{message}"):
            opened(given, **options)


def test_file_bytes_counts_all_files_but_not_the_metadata(tmp_path):
    for name, size in [("a.xml", 3), ("a.bin", 40), ("a.xml.json", 500), ("b.keras", 7)]:
        (tmp_path / name).write_bytes(bytes(size))
    assert file_bytes(tmp_path / "a.xml", "openvino") == 43
    assert file_bytes(tmp_path / "b.keras", "keras") == 7
    saved = tmp_path / "saved" / "variables"
    saved.mkdir(parents=True)
    (saved / "x").write_bytes(bytes(11))
    (saved.parent / "saved_model.pb").write_bytes(bytes(5))
    (saved.parent / "asap_tf.json").write_bytes(bytes(600))
    assert file_bytes(saved.parent, "saved_model") == 16
    run = tmp_path / "run"
    run.mkdir()
    (run / "model.keras").write_bytes(bytes(9))
    (run / "log.jsonl").write_bytes(bytes(100))
    assert file_bytes(run, "keras") == 9


def test_source_is_the_same_street_each_time(tmp_path, source_folder):
    sizes = write_source(tmp_path, (64, 128))
    street = render(0, 64, 128).image
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "source.png")), street)
    for name in ("source.png", "source.jpg"):
        assert (tmp_path / name).read_bytes() == (source_folder / name).read_bytes()
    assert sizes == {
        "jpeg": (tmp_path / "source.jpg").stat().st_size,
        "png": (tmp_path / "source.png").stat().st_size,
    }
    with Image.open(tmp_path / "source.jpg") as image:
        assert image.format == "JPEG" and image.size == (128, 64)


FREED = """
import numpy as np
from asap_tf.benchmark.artifact import peak_memory
before = peak_memory()
size = before + 100_000_000
np.ones(size, np.uint8)
assert size < peak_memory() < size + before + 50_000_000
"""


def test_peak_memory_remembers_what_was_freed():
    # In a process that has not yet used gigabytes.
    subprocess.run([sys.executable, "-c", FREED], check=True)
