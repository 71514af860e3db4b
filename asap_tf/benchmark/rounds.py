"""The order of runs: a warm-up until times are steady, then rounds of one turn each."""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

MIN_ROUNDS = 100
STEADY = 0.03
WINDOW = 5
MAX_WINDOWS = 12


class Runner(Protocol):
    """Anything that can be timed."""

    def turn(self) -> Mapping[str, float]:
        """Runs everything once and returns seconds by row, always the same rows."""
        ...


@dataclass(frozen=True)
class WarmUp:
    """Length and success of a warm-up.

    Attributes:
        turns: Number of turns taken, which do not count.
        steady: Whether times had settled at its end.
    """

    turns: int
    steady: bool


Rounds = list[list[Mapping[str, float]]]
"""Seconds by row, for each round and runner, runners in the order in which they were given."""


def warm_up(runner: Runner) -> WarmUp:
    """Takes turns until two windows of `WINDOW` in a row have medians that agree within `STEADY`.

    A turn counts as the sum of its rows. After `MAX_WINDOWS` it gives up.
    """

    def window() -> float:
        return statistics.median(sum(runner.turn().values()) for _ in range(WINDOW))

    before = window()
    for count in range(2, MAX_WINDOWS + 1):
        now = window()
        if abs(now - before) < STEADY * before:
            return WarmUp(count * WINDOW, True)
        before = now
    return WarmUp(MAX_WINDOWS * WINDOW, False)


def measure(
    runners: Sequence[Runner],
    seconds: float,
    each_round: Callable[[int, int], object] = lambda done, total: None,
    seed: int = 0,
    least: int = MIN_ROUNDS,
) -> Rounds:
    """Takes rounds until there are `least` of them and `seconds` have passed.

    In each round every runner has one turn, in an order that is drawn anew: drifts of the machine
    affect all alike, and no runner always follows the same one.

    Args:
        runners: Runners to time.
        seconds: Least duration of all rounds together.
        each_round: Function called after each round with the numbers of rounds done and expected.
        seed: Seed of the orders.
        least: Least number of rounds.

    Returns:
        The rounds that were finished; on Ctrl-C, those that were finished before it.
    """
    rounds: Rounds = []
    orders = random.Random(seed)
    start = time.monotonic()
    try:
        while len(rounds) < least or time.monotonic() - start < seconds:
            order = orders.sample(range(len(runners)), len(runners))
            turns = {index: runners[index].turn() for index in order}
            rounds.append([turns[index] for index in range(len(runners))])
            mean = (time.monotonic() - start) / len(rounds)
            each_round(len(rounds), max(least, len(rounds), round(seconds / mean)))
    except KeyboardInterrupt:
        pass
    return rounds
