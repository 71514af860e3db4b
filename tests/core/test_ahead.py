from __future__ import annotations

import itertools
import threading
import time

import pytest

from asap_tf.core.ahead import map_ahead


def test_results_come_in_the_order_of_the_items():
    def late(item: int) -> int:
        time.sleep(0.002 * (item % 4))
        return 10 * item

    with map_ahead(late, range(20), threads=4) as results:
        assert list(results) == [10 * item for item in range(20)]


def test_items_are_taken_a_few_ahead_and_may_be_endless():
    taken = []
    items = (taken.append(i) or i for i in itertools.count())
    with map_ahead(lambda item: item, items, ahead=3) as results:
        for expected in range(10):
            assert next(results) == expected
            assert len(taken) == expected + 4


def test_two_stages_run_at_the_same_time_as_the_caller():
    """Each stage waits for another one to be ahead or behind, which only threads can satisfy."""
    read_second, wrote_first = threading.Event(), threading.Event()
    written = []

    def read(item: int) -> int:
        if item == 2:
            read_second.set()
        return item

    def process(item: int) -> int:
        if item == 1:
            assert read_second.wait(10)
        if item == 2:
            assert wrote_first.wait(10)
        return 10 * item

    def write(item: int) -> None:
        written.append(item)
        wrote_first.set()

    with map_ahead(read, range(1, 9)) as items, map_ahead(write, map(process, items)) as done:
        assert len(list(done)) == 8
    assert written == [10 * item for item in range(1, 9)]


def test_an_error_is_raised_in_the_place_of_its_result_and_ends_everything():
    started, threads = [], threading.active_count()

    def broken(item: int) -> int:
        started.append(item)
        if item == 2:
            raise OSError("broken")
        return item

    seen = []
    with pytest.raises(OSError, match="broken"), map_ahead(broken, itertools.count()) as results:
        seen.extend(results)
    assert seen == [0, 1] and max(started) <= 6
    assert threading.active_count() == threads


@pytest.mark.parametrize("fails", [False, True])
def test_leaving_the_block_waits_for_what_runs_and_drops_the_rest(fails):
    begun, release, finished = [], threading.Event(), []

    def slow(item: int) -> int:
        begun.append(item)
        if item:
            release.wait(10)
        finished.append(item)
        return item

    timer = threading.Timer(0.1, release.set)
    timer.start()
    try:
        with map_ahead(slow, range(9)) as results:
            next(results)
            if fails:
                raise KeyError
    except KeyError:
        pass
    assert begun == finished and len(finished) < 5
    timer.join()
