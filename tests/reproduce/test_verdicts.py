from __future__ import annotations

import math

import pytest

from asap_tf.reproduce.paper import Claim
from asap_tf.reproduce.verdicts import judge, mean_and_spread, student, uprights, wide

CLAIM = Claim("asap", "norms_in", 0.2)


# From a printed table of Student's distribution, two-sided 95 %.
@pytest.mark.parametrize(
    ("freedom", "quantile"), [(1, 12.706), (2, 4.303), (3, 3.182), (4, 2.776), (9, 2.262)]
)
def test_students_quantile(freedom, quantile):
    assert student(freedom) == pytest.approx(quantile, rel=0.01)


def rows(row, better, worse):
    return [
        *(row("asap", seed, value) for seed, value in enumerate(better)),
        *(row("norms_in", seed, value) for seed, value in enumerate(worse)),
    ]


def test_seeds_are_paired_so_that_their_own_spread_drops_out(row):
    finding = judge(CLAIM, rows(row, [21, 32, 43], [20, 31, 42]))
    assert (finding.seeds, finding.points) == (3, pytest.approx(1))
    assert finding.interval == pytest.approx((1, 1))
    assert finding.verdict == "reproduced"


def test_interval_by_hand(row):
    finding = judge(CLAIM, rows(row, [3, 4, 5], [1, 1, 1]))
    # Differences 2, 3, 4: mean 3, deviation 1, so 3 -+ 4.303 / sqrt(3).
    reach = 4.303 / math.sqrt(3)
    assert finding.interval == pytest.approx((3 - reach, 3 + reach), abs=1e-3)


@pytest.mark.parametrize(
    ("better", "worse", "verdict"),
    [
        ([10, 11, 12], [20, 21, 22.1], "not reproduced: the other way round"),
        ([10, 30, 20], [20, 20, 21], "not reproduced: within the spread of the seeds"),
        ([10], [20], "not testable here: 1 seed"),
        ([], [20, 21], "not testable here: no seeds"),
    ],
)
def test_verdicts(row, better, worse, verdict):
    assert judge(CLAIM, rows(row, better, worse)).verdict == verdict


def test_a_seed_that_only_one_has_is_left_out(row):
    assert judge(CLAIM, rows(row, [1, 2, 9], [1, 2])).seeds == 2


def test_groups_of_classes(row):
    of = row("asap", 0, 50, pole=10, person=30, road=90, sky=80, car=1, rider=None)
    assert (uprights(of), wide(of)) == (pytest.approx(20), pytest.approx(85))
    assert math.isnan(uprights(row("asap", 0, 50, road=90)))


def test_mean_and_spread():
    assert mean_and_spread([1, 2, 3]) == (2, 1)
    mean, spread = mean_and_spread([4])
    assert mean == 4 and math.isnan(spread)
    assert math.isnan(mean_and_spread([])[0])
