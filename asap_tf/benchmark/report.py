"""Reports of a comparison of artifacts: Markdown, a chart, and JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from asap_tf.benchmark.artifact import JPEG_QUALITY, size_text
from asap_tf.benchmark.chart import Group, bar_chart
from asap_tf.benchmark.inference import Comparison, Result
from asap_tf.benchmark.markdown import figure, machine_lines, scaled, table, warning_lines
from asap_tf.benchmark.rounds import MIN_ROUNDS
from asap_tf.benchmark.statistics import CONFIDENCE, Speedup, speedup, summarize

PAPER = {"ASAP": 96.0, "ASAP (TensorRT)": 191.0}
"""Frames a second that the paper prints."""

PAPER_SOURCE = "the paper, Table I, GTX 1080 Ti, 512x1024, including the resize"

TITLES = {
    "network": "Network only",
    "resize": "With resize from {source} and label map back (the paper's way of counting)",
    "jpeg": "The same from a JPEG file",
    "png": "The same from a PNG file",
}


def text(comparison: Comparison) -> str:
    """The whole report as Markdown."""
    first, *_ = results = comparison.results
    jpeg, png = (comparison.source_bytes[kind] / 1e3 for kind in ("jpeg", "png"))
    lines = [
        "# Benchmark of artifacts",
        "",
        *machine_lines(comparison.machine),
        f"- threads: {comparison.threads or f'all {comparison.machine.cores} cores'}",
        f"- input: one rendered street of {size_text(comparison.source)}, batch 1; {jpeg:.0f} kB "
        f"as JPEG of quality {JPEG_QUALITY}, {png:.0f} kB as PNG",
        f"- rounds: {comparison.rounds}, every artifact once in each, in an order drawn anew",
    ]
    if not comparison.complete:
        lines.append(f"- stopped before the {MIN_ROUNDS} rounds of the protocol")
    lines += warning_lines(comparison.machine)
    for result in results:
        if not result.warm_up.steady:
            lines += ["", f"Warning: {result.name}: still unsteady after its warm-up"]
    lines += ["", *artifact_table(results)]
    for row, title in TITLES.items():
        lines += ["", f"## {title.format(source=size_text(comparison.source))}", ""]
        lines += timing_table(row, comparison)
    lines += [
        "",
        f"frames/s: 1 / p50. Times as fast: as {first.name}, median over the rounds, in brackets "
        f"its {CONFIDENCE:.0%} interval by order statistics.",
        "Peak memory: of the artifact's whole process, interpreter and libraries included"
        + ("; the GPU's is not counted." if comparison.machine.gpus else "."),
        f"For reference, on another machine ({PAPER_SOURCE}): "
        + ", ".join(f"{name} {rate:.0f} frames/s" for name, rate in PAPER.items()),
    ]
    return "\n".join(lines)


def artifact_table(results: Sequence[Result]) -> list[str]:
    """Table of the artifacts' properties."""
    header = [
        *("artifact", "precision", "size", "runtime", "file MB", "parameters M"),
        *("multiply-adds G", "peak memory MB", "labels as Keras's"),
        "validation mIoU",
    ]
    rows = [
        (
            result.name,
            result.info.precision,
            size_text(result.info.size),
            result.info.runtime,
            figure(result.info.file_bytes / 1e6),
            scaled(result.info.parameters, 1e6),
            scaled(result.info.multiply_accumulates, 1e9),
            f"{result.peak_memory / 1e6:.0f}" if result.peak_memory else "-",
            "-" if result.info.agreement is None else f"{result.info.agreement:.2%}",
            "-" if result.miou is None else f"{result.miou:.1%}",
        )
        for result in results
    ]
    return table(header, rows, "llllrrrrrr")


def timing_table(row: str, comparison: Comparison) -> list[str]:
    """Table of the artifacts' times in one row."""
    first = comparison.results[0]
    header = ("artifact", "p50 ms", "p90 ms", "mean ms", "frames/s", "times as fast")
    rows = []
    for result in comparison.results:
        summary = summarize(result.seconds[row])
        ratio = speedup(first.seconds[row], result.seconds[row])
        milliseconds = (figure(1e3 * t) for t in (summary.p50, summary.p90, summary.mean))
        compared = "1" if result is first else speedup_text(ratio)
        rows.append((result.name, *milliseconds, figure(summary.rate), compared))
    if row == "resize" and comparison.machine.gpus:
        for name, rate in PAPER.items():
            rows.append((f"{name} in the paper, GTX 1080 Ti", "-", "-", "-", figure(rate), "-"))
    return table(header, rows, "lrrrrr")


def speedup_text(ratio: Speedup) -> str:
    """`"4.12 [4.05, 4.20]"`."""
    if ratio.interval is None:
        return f"{ratio.median:.2f}"
    low, high = ratio.interval
    return f"{ratio.median:.2f} [{low:.2f}, {high:.2f}]"


def draw(comparison: Comparison, path: Path) -> None:
    """Draws frames a second of every artifact and row, as a PNG.

    Raises:
        AsapError: if it cannot be written.
    """
    first = comparison.results[0]
    groups = []
    for result in comparison.results:
        bars = []
        for row, seconds in result.seconds.items():
            rate = summarize(seconds).rate
            ratio = speedup(first.seconds[row], seconds).median
            compared = "" if result is first else f"  ({ratio:.2f} x)"
            bars.append((rate, f"{figure(rate)}{compared}"))
        info = result.info
        details = (f"{info.precision}, {size_text(info.size)}", info.runtime)
        groups.append(Group(result.name, details, tuple(bars)))
    notes = [
        f"1 / p50 of {comparison.rounds} rounds, batch 1, on {comparison.machine.name}",
        f"In brackets: times as fast as {first.name}, median over the rounds",
    ]
    legend = [title.format(source=size_text(comparison.source)) for title in TITLES.values()]
    bar_chart(path, "Frames a second", notes, legend, groups)


def to_dict(comparison: Comparison) -> dict[str, Any]:
    """The report as plain data for JSON, with every timing."""
    first = comparison.results[0]
    return {
        "benchmark": "artifacts",
        "machine": asdict(comparison.machine),
        "threads": comparison.threads,
        "source": comparison.source,
        "source_bytes": comparison.source_bytes,
        "batch": 1,
        "rounds": comparison.rounds,
        "complete": comparison.complete,
        "artifacts": [
            {
                "name": result.name,
                "path": result.path,
                **asdict(result.info),
                "peak_memory": result.peak_memory,
                "miou": result.miou,
                "warm_up": asdict(result.warm_up),
                "rows": {
                    row: {
                        **asdict(summary := summarize(seconds)),
                        "frames_per_second": summary.rate,
                        "speedup": asdict(speedup(first.seconds[row], seconds)),
                        "seconds": seconds,
                    }
                    for row, seconds in result.seconds.items()
                },
            }
            for result in comparison.results
        ],
        "reference": {"source": PAPER_SOURCE, "frames_per_second": PAPER},
    }
