from __future__ import annotations

import threading

import pytest

from asap_tf.core.errors import AsapError
from asap_tf.inference import files as prediction


def test_reading_inference_and_writing_overlap():
    """Each stage waits for another one to be ahead or behind, which only threads can satisfy."""
    read_second, wrote_first = threading.Event(), threading.Event()
    items = iter(range(1, 9))

    def read() -> int | None:
        item = next(items, None)
        if item == 2:
            read_second.set()
        return item

    def process(item: int) -> int:
        if item == 1:
            assert read_second.wait(10)
        if item == 2:
            assert wrote_first.wait(10)
        return 10 * item

    written = []

    def write(item: int) -> None:
        written.append(item)
        wrote_first.set()

    prediction._stream(read, process, write)
    assert written == [10 * item for item in range(1, 9)]


def test_stages_do_not_run_away_from_each_other():
    counts = {"read": 0, "processed": 0, "written": 0}
    gaps = []

    def read() -> int | None:
        counts["read"] += 1
        return counts["read"] if counts["read"] <= 60 else None

    def process(item: int) -> int:
        counts["processed"] += 1
        gaps.append((counts["read"] - counts["processed"], item - counts["written"]))
        return item

    def write(item: int) -> None:
        threading.Event().wait(0.002)
        counts["written"] = item

    prediction._stream(read, process, write)
    assert counts["written"] == 60
    assert max(gap for gap, _ in gaps) <= 5 and max(gap for _, gap in gaps) <= 6


@pytest.mark.parametrize("stage", ["read", "write"])
def test_an_error_in_a_thread_surfaces_and_stops_the_others(stage):
    processed = []

    def broken(item=None):
        raise AsapError(f"{stage} failed")

    def read() -> int:
        return 1

    with pytest.raises(AsapError, match=f"{stage} failed"):
        prediction._stream(
            broken if stage == "read" else read,
            lambda item: processed.append(item) or item,
            broken if stage == "write" else lambda item: None,
        )
    assert len(processed) <= 6
