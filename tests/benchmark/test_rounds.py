from __future__ import annotations

import itertools
from types import SimpleNamespace

import pytest

from asap_tf.benchmark import rounds
from asap_tf.benchmark.rounds import MAX_WINDOWS, MIN_ROUNDS, WINDOW, measure, warm_up


class Stub:
    """Writes its name into a log whenever it has a turn, which takes what `times` says."""

    def __init__(self, name="stub", log=None, times=None):
        self.name, self.log = name, [] if log is None else log
        self.times = itertools.repeat(1.0) if times is None else iter(times)

    def turn(self):
        self.log.append(self.name)
        return {"network": (seconds := next(self.times)), "resize": 2 * seconds}


def in_rounds(log, size):
    return [log[i : i + size] for i in range(0, len(log), size)]


def test_everybody_has_one_turn_in_each_round_in_changing_order():
    log = []
    measure([Stub(name, log) for name in "abc"], seconds=0)
    orders = in_rounds(log, 3)
    assert len(orders) == MIN_ROUNDS
    assert all(sorted(order) == list("abc") for order in orders)
    assert len(set(map(tuple, orders))) == 6
    # Nobody is favored: each is first in about a third of the rounds.
    firsts = [order[0] for order in orders]
    assert all(20 <= firsts.count(name) <= 47 for name in "abc")


def test_order_follows_from_the_seed():
    logs = [[], [], []]
    for log, seed in zip(logs, (0, 0, 1), strict=True):
        measure([Stub(name, log) for name in "abc"], seconds=0, seed=seed)
    assert logs[0] == logs[1] != logs[2]


def test_timings_stay_with_their_runner():
    taken = measure([Stub(times=itertools.count(0)), Stub(times=itertools.count(1000))], seconds=0)
    assert [turns[0]["network"] for turns in taken] == list(range(MIN_ROUNDS))
    assert [turns[1]["resize"] for turns in taken] == [2 * (1000 + i) for i in range(MIN_ROUNDS)]


def test_goes_on_until_the_time_is_over(monkeypatch):
    clock = itertools.count(0, 0.25)
    monkeypatch.setattr(rounds, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    shown = []
    taken = measure([Stub()], 200, lambda done, total: shown.append((done, total)))
    # Two looks at the clock in a round: half a second each.
    assert len(taken) == pytest.approx(400, abs=60)
    assert [done for done, _ in shown] == list(range(1, len(taken) + 1))
    assert shown[-1][1] == pytest.approx(len(taken), abs=2)


def test_ctrl_c_keeps_the_finished_rounds():
    def stop():
        yield from [1.0] * 7
        raise KeyboardInterrupt

    taken = measure([Stub(), Stub(times=stop())], seconds=0)
    assert len(taken) == 7 and all(len(turns) == 2 for turns in taken)


def test_warm_up_ends_when_times_are_steady():
    cold = [10, 9, 8, 7, 6] + [5, 4, 3, 2.5, 2] + [1.5, 1.2, 1.1, 1.0, 1.0]
    runner = Stub(times=[*cold, *[1.01] * 1000])
    result = warm_up(runner)
    # Medians of the windows: 8, 3, 1.1, 1.01, 1.01.
    assert (result.turns, result.steady) == (5 * WINDOW, True)
    assert len(runner.log) == result.turns


def test_one_slow_turn_does_not_spoil_the_warm_up():
    assert warm_up(Stub(times=[1, 1, 50, 1, 1, 1, 1, 1, 1, 1])).turns == 2 * WINDOW


def test_warm_up_gives_up():
    result = warm_up(Stub(times=(1.1**i for i in itertools.count())))
    assert (result.turns, result.steady) == (MAX_WINDOWS * WINDOW, False)
