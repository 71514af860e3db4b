"""Table II, the norms of FFDN, and the tables of mIoU that Table III shares."""

from __future__ import annotations

import math
from collections.abc import Sequence

from asap_tf.benchmark.markdown import table
from asap_tf.reproduce.ablations import FUSIONS, MODULES, Row, Variant
from asap_tf.reproduce.paper import CLAIMS_2, TABLE_2, Claim
from asap_tf.reproduce.verdicts import judge, mean_and_spread, miou, uprights, wide

TITLES = {variant.name: variant.title for variant in (*FUSIONS, *MODULES)}


def text(rows: Sequence[Row]) -> str:
    """The table as Markdown: the paper's mIoU on Cityscapes val, and that of our trainings."""
    printed = {name: f"{value:.1f}" for name, value in TABLE_2.items()}
    return "\n".join(
        ["# Table II: norms in FFDN", "", *score_lines(FUSIONS, rows, printed), ""]
        + claim_lines(CLAIMS_2, rows)
    )


def score_lines(
    variants: Sequence[Variant], rows: Sequence[Row], printed: dict[str, str]
) -> list[str]:
    """Lines of a table with a row for each variant; mean and deviation over the seeds, percent."""

    def line(variant: Variant) -> list[str]:
        own = [row for row in rows if row.variant == variant.name]
        scores = [spread_text([score(row) for row in own]) for score in (miou, uprights, wide)]
        return [variant.title, printed.get(variant.name, "-"), *scores, str(len(own))]

    return table(
        ("mIoU", "paper", "here", "thin uprights", "wide flat classes", "seeds"),
        [line(variant) for variant in variants],
        "lrrrrr",
    )


def claim_lines(claims: Sequence[Claim], rows: Sequence[Row]) -> list[str]:
    """Lines of a table with the paper's claims and our verdicts."""

    def line(claim: Claim) -> list[str]:
        finding = judge(claim, rows)
        return [
            f"{TITLES[claim.better]} above {TITLES[claim.worse]}",
            "-" if claim.points is None else f"{claim.points:+.1f}",
            interval_text(finding.points, finding.interval),
            *(signed(judge(claim, rows, score).points) for score in (uprights, wide)),
            finding.verdict,
        ]

    header = ("claim", "paper", "here, 95 % interval", "thin uprights", "wide", "verdict")
    return table(header, [line(claim) for claim in claims], "lrrrrl")


def spread_text(values: Sequence[float]) -> str:
    """`"25.3 ± 0.4"`, `"25.3"` for one value, `"-"` for none."""
    mean, spread = mean_and_spread(values)
    if math.isnan(mean):
        return "-"
    return f"{mean:.1f}" if math.isnan(spread) else f"{mean:.1f} ± {spread:.1f}"


def interval_text(mean: float, interval: tuple[float, float] | None) -> str:
    """`"+1.2 [+0.3, +2.1]"`."""
    if interval is None:
        return signed(mean)
    return f"{mean:+.1f} [{interval[0]:+.1f}, {interval[1]:+.1f}]"


def signed(value: float) -> str:
    """`"+1.2"`, `"-"` for nan."""
    return "-" if math.isnan(value) else f"{value:+.1f}"
