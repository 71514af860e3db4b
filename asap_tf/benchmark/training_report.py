"""Reports of the speed of a training: Markdown, a chart, and JSON."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from asap_tf.benchmark.artifact import size_text
from asap_tf.benchmark.chart import Group, bar_chart
from asap_tf.benchmark.markdown import figure, machine_lines, table, warning_lines
from asap_tf.benchmark.statistics import summarize

if TYPE_CHECKING:
    from asap_tf.benchmark.training import TrainingSpeed

TITLES = {
    "step": "training step alone, on one batch in memory",
    "pipeline": "input pipeline alone",
    "both": "both, as in a training",
}


def text(speed: TrainingSpeed) -> str:
    """The whole report as Markdown."""
    header = ("what", "images/s", "batches", "p50 ms", "p90 ms")
    rows = []
    for kind, title in TITLES.items():
        summary = summarize(speed.seconds[kind])
        milliseconds = (figure(1e3 * t) for t in (summary.p50, summary.p90))
        batches = str(len(speed.seconds[kind]))
        rows.append((title, figure(speed.rate(kind)), batches, *milliseconds))
    step, pipeline, both = (speed.rate(kind) for kind in ("step", "pipeline", "both"))
    return "\n".join(
        [
            "# Benchmark of a training",
            "",
            *machine_lines(speed.machine),
            f"- runtime: {speed.runtime}, {speed.precision}",
            f"- recipe: {settings(speed)}",
            f"- passes: {speed.passes}, step, pipeline and both one after the other in each",
            *warning_lines(speed.machine),
            "",
            *table(header, rows, "lrrrr"),
            "",
            "images/s: all images over all seconds. Milliseconds are for a batch.",
            f"The pipeline delivers {figure(pipeline / step)} times what the step takes; both "
            f"together reach {both / step:.0%} of the step alone.",
        ]
    )


def draw(speed: TrainingSpeed, path: Path) -> None:
    """Draws images a second of step, pipeline and both, as a PNG.

    Raises:
        AsapError: if it cannot be written.
    """
    bars = tuple((speed.rate(kind), figure(speed.rate(kind))) for kind in TITLES)
    group = Group(speed.recipe.name, (speed.precision, speed.runtime), bars)
    notes = [settings(speed), f"On {speed.machine.name}"]
    bar_chart(path, "Images a second in training", notes, list(TITLES.values()), [group])


def to_dict(speed: TrainingSpeed) -> dict[str, Any]:
    """The report as plain data for JSON, with every timing."""
    return {
        "benchmark": "training",
        "machine": asdict(speed.machine),
        "recipe": speed.recipe.model_dump(mode="json"),
        "precision": speed.precision,
        "runtime": speed.runtime,
        "frames": speed.frames,
        "passes": speed.passes,
        "rows": {
            kind: {
                "images_per_second": speed.rate(kind),
                **asdict(summarize(seconds)),
                "seconds": seconds,
            }
            for kind, seconds in speed.seconds.items()
        },
    }


def settings(speed: TrainingSpeed) -> str:
    """Settings of the recipe that decide its speed."""
    recipe = speed.recipe
    cached = all(data.cache for data in recipe.data)
    frames = "decoded frames in memory" if cached else "frames from disk"
    return (
        f"{recipe.name}, crops of {size_text(recipe.augment.crop)}, batches of "
        f"{recipe.train.batch_size}, {speed.frames} {frames}"
    )
