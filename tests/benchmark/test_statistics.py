from __future__ import annotations

from fractions import Fraction
from math import comb

import numpy as np
import pytest

from asap_tf.benchmark.statistics import median_interval, speedup, summarize


def test_summary_by_hand():
    summary = summarize([3.0, 1.0, 2.0, 10.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0])
    assert summary.p50 == 5.5
    assert summary.p90 == pytest.approx(9.1)
    assert summary.mean == 5.5
    assert summary.rate == pytest.approx(1 / 5.5)


@pytest.mark.parametrize(
    ("count", "ranks"), [(6, (1, 6)), (10, (2, 9)), (20, (6, 15)), (50, (18, 33)), (100, (40, 61))]
)
def test_interval_has_the_ranks_of_published_tables(count, ranks):
    values = np.random.default_rng(0).permutation(np.arange(1, count + 1)).tolist()
    assert median_interval(values) == ranks


@pytest.mark.parametrize("count", [6, 7, 19, 63, 200])
def test_interval_covers_the_median_often_enough_and_is_no_wider_than_it_must_be(count):
    low, high = median_interval(range(1, count + 1))
    assert low + high == count + 1

    def coverage(rank: int) -> Fraction:
        """That at least `rank` and at most `count - rank` of the values are below the median."""
        return Fraction(sum(comb(count, i) for i in range(rank, count - rank + 1)), 2**count)

    assert coverage(low) >= Fraction(95, 100) > coverage(low + 1)


def test_interval_holds_for_a_skewed_distribution():
    rng = np.random.default_rng(0)
    intervals = [median_interval(rng.exponential(size=100).tolist()) for _ in range(1000)]
    covered = sum(low <= np.log(2) <= high for low, high in intervals)
    assert covered >= 945


def test_too_few_values_have_no_interval():
    assert median_interval([1.0] * 5) is None
    assert speedup([2.0], [1.0]).interval is None


def test_what_slows_both_drops_out_of_the_speedup():
    drift = np.random.default_rng(0).uniform(1, 5, 50)
    result = speedup((3 * drift).tolist(), (2 * drift).tolist())
    assert result.median == pytest.approx(1.5)
    assert result.interval == pytest.approx((1.5, 1.5))
