"""Verdicts: whether trainings with several seeds support the paper's claims."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from asap_tf.reproduce.ablations import Row
from asap_tf.reproduce.paper import Claim

CONFIDENCE = 0.95
NORMAL = 1.959964
"""Two-sided 95 % quantile of the normal distribution."""

UPRIGHTS = frozenset(
    ("pole", "traffic light", "traffic sign", "person", "rider", "sign", "pedestrian", "bicyclist")
)
"""Thin upright classes, by their names in Cityscapes and CamVid."""

WIDE = frozenset(("road", "sidewalk", "building", "vegetation", "terrain", "sky", "tree"))
"""Wide flat classes, by the same names."""

Score = Callable[[Row], float]


@dataclass(frozen=True)
class Finding:
    """Evidence for a claim, from the seeds that both variants have in common.

    Attributes:
        claim: The claim.
        seeds: Number of pairs of trainings.
        points: Mean difference in points of mIoU; nan without a pair.
        interval: Interval of that mean at `CONFIDENCE`; None for fewer than two pairs.
    """

    claim: Claim
    seeds: int
    points: float
    interval: tuple[float, float] | None

    @property
    def verdict(self) -> str:
        """The verdict in words."""
        if self.interval is None:
            return f"not testable here: {self.seeds or 'no'} seed{'s' * (self.seeds != 1)}"
        low, high = self.interval
        if low > 0:
            return "reproduced"
        if high < 0:
            return "not reproduced: the other way round"
        return "not reproduced: within the spread of the seeds"


def miou(row: Row) -> float:
    """MIoU over all classes, percent."""
    return 100 * row.miou


def uprights(row: Row) -> float:
    """Mean IoU of thin upright classes, percent; nan without any."""
    return _mean_iou(row, UPRIGHTS)


def wide(row: Row) -> float:
    """Mean IoU of wide flat classes, percent; nan without any."""
    return _mean_iou(row, WIDE)


def mean_and_spread(values: Sequence[float]) -> tuple[float, float]:
    """Mean and sample deviation; nan where there are too few values for it."""
    mean = statistics.fmean(values) if values else math.nan
    return mean, statistics.stdev(values) if len(values) > 1 else math.nan


def judge(claim: Claim, rows: Sequence[Row], score: Score = miou) -> Finding:
    """Compares two variants seed by seed, so that the effect of a seed on both cancels out.

    Args:
        claim: The claim to test.
        rows: All trainings so far.
        score: Score of a training, percent.
    """
    scores = {(row.variant, row.seed): score(row) for row in rows}
    pairs = [
        (value, scores[claim.worse, seed])
        for (variant, seed), value in scores.items()
        if variant == claim.better and (claim.worse, seed) in scores
    ]
    differences = [better - worse for better, worse in pairs]
    mean, spread = mean_and_spread(differences)
    interval = None
    if len(pairs) > 1:
        reach = student(len(pairs) - 1) * spread / math.sqrt(len(pairs))
        interval = (mean - reach, mean + reach)
    return Finding(claim, len(pairs), mean, interval)


def student(freedom: int) -> float:
    """Two-sided 95 % quantile of Student's t distribution, to 1 %.

    Exact for 1 and 2 degrees of freedom, then Cornish and Fisher's expansion.
    """
    if freedom == 1:
        return math.tan(math.pi / 2 * CONFIDENCE)
    if freedom == 2:
        return CONFIDENCE * math.sqrt(2 / (1 - CONFIDENCE**2))
    z = NORMAL
    return (
        z
        + (z**3 + z) / (4 * freedom)
        + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)
        + (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * freedom**3)
    )


def _mean_iou(row: Row, names: frozenset[str]) -> float:
    known = [value for name, value in row.iou.items() if name in names and value is not None]
    return 100 * statistics.fmean(known) if known else math.nan
