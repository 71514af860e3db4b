"""Summaries of timings, and ratios with intervals."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Summary:
    """Summary of the timings of one kind.

    Attributes:
        p50: Median, seconds.
        p90: 90th percentile, seconds, interpolated between runs.
        mean: Mean, seconds.
    """

    p50: float
    p90: float
    mean: float

    @property
    def rate(self) -> float:
        """Runs a second: 1 / p50."""
        return 1 / self.p50


@dataclass(frozen=True)
class Speedup:
    """Ratio of two runners' times, measured in the same rounds.

    Attributes:
        median: Median of the ratio over the rounds.
        interval: Interval of the median at `CONFIDENCE`; None with too few rounds.
    """

    median: float
    interval: tuple[float, float] | None


def summarize(seconds: Sequence[float]) -> Summary:
    """Median, 90th percentile and mean of at least one timing."""
    p50, p90 = np.percentile(seconds, [50, 90])
    return Summary(float(p50), float(p90), float(np.mean(seconds)))


def speedup(reference: ArrayLike, seconds: ArrayLike) -> Speedup:
    """Ratio of two series of timings, round by round, so that what slows both cancels out.

    Args:
        reference: Seconds of each round of the runner to compare with.
        seconds: Seconds of the same rounds of the other runner.

    Examples:
        >>> speedup([2.0, 4.0, 6.0], [1.0, 2.0, 2.0]).median
        2.0
    """
    ratios = np.asarray(reference) / np.asarray(seconds)
    return Speedup(float(np.median(ratios)), median_interval(ratios.tolist()))


def median_interval(values: Sequence[float]) -> tuple[float, float] | None:
    """Two of the values that enclose the median of what they are drawn from.

    By order statistics: the number of values below the median is binomial whatever their
    distribution, so the k-th smallest and the k-th largest enclose it with a probability that
    only depends on k. The largest k that reaches `CONFIDENCE` is taken.

    Returns:
        The interval; None for fewer than 6 values, of which even the extremes are not enough.

    Examples:
        >>> median_interval(range(1, 101))
        (40, 61)
    """
    count, outside, k = len(values), 0, 0
    while 2 * (outside + math.comb(count, k)) <= (1 - CONFIDENCE) * 2**count:
        outside += math.comb(count, k)
        k += 1
    if k == 0:
        return None
    ordered = sorted(values)
    return ordered[k - 1], ordered[-k]
