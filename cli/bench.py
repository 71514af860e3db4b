"""`asap-tf bench`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import click

from asap_tf.cli.output import echo
from asap_tf.cli.trust import trust_option

SOURCE = "1024x2048"


@click.command()
@click.argument("artifacts", nargs=-1, type=click.Path(path_type=Path))
@click.option("--size", help="HEIGHTxWIDTH of networks that run at any size. [their own]")
@click.option("--source", help=f"HEIGHTxWIDTH of the frame to label. [{SOURCE}]")
@click.option("--threads", type=click.IntRange(min=1), help="Processor threads. [all cores]")
@click.option(
    "--seconds",
    type=float,
    default=30.0,
    show_default=True,
    help="Least duration; 100 runs of each are made in any case.",
)
@click.option(
    "--json", "json_file", type=click.Path(path_type=Path), help="Write every timing here."
)
@click.option("--chart", type=click.Path(path_type=Path), help="Draw a chart into this .png file.")
@click.option("--training", metavar="RECIPE", help="Time a training instead.")
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    help="Dataset to score ARTIFACTS on as well, or to train on.",
)
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Change the recipe.")
@trust_option
@click.pass_context
def command(
    context: click.Context,
    artifacts: tuple[Path, ...],
    size: str | None,
    source: str | None,
    threads: int | None,
    seconds: float,
    json_file: Path | None,
    chart: Path | None,
    training: str | None,
    data: Path | None,
    overrides: tuple[str, ...],
    trust: bool,
) -> None:
    """Time ARTIFACTS, trained or exported, in turn on the same frame; or a training.

    The first is what the others are compared with. Ctrl-C ends it with what has been measured.

    \b
    asap-tf bench runs/camvid export/asap_fp32.tflite export/asap_int8.tflite --threads 2
    asap-tf bench runs/camvid export/*.onnx --data CamVid --json times.json --chart times.png
    asap-tf bench --training camvid_resnet18 --data CamVid
    """
    from asap_tf.cli.checks import require_duration, require_outputs
    from asap_tf.core.errors import UsageError
    from asap_tf.core.files import write_json

    if bool(artifacts) == bool(training):
        raise UsageError("give ARTIFACTS to time, or --training RECIPE")
    require_duration(seconds)
    require_outputs(json_file, chart)

    if training:
        if size or source or threads:
            raise UsageError("--size, --source and --threads are for artifacts, not --training")
        outcome = bench_training(training, data, overrides, seconds)
    else:
        if overrides:
            raise UsageError("--set is for --training")
        outcome = bench_artifacts(artifacts, size, source or SOURCE, threads, seconds, data, trust)
    echo(outcome.text)
    if json_file is not None:
        write_json(json_file, outcome.content)
    if chart is not None:
        outcome.draw(chart)
    if not outcome.complete:
        context.exit(130)


class Outcome(NamedTuple):
    """A report in all its forms, and whether the measurement was finished."""

    text: str
    content: dict[str, Any]
    draw: Callable[[Path], None]
    complete: bool


def bench_artifacts(
    artifacts: tuple[Path, ...],
    size: str | None,
    source: str,
    threads: int | None,
    seconds: float,
    data: Path | None,
    trust: bool,
) -> Outcome:
    """Times artifacts, and scores them if there is data to do it on."""
    from asap_tf.benchmark import report
    from asap_tf.benchmark.inference import check_classes, compare, scored
    from asap_tf.cli.checks import parse_size
    from asap_tf.data import open_dataset
    from asap_tf.data.check import checked

    dataset = None
    if data is not None:
        dataset = open_dataset(data)
        checked(dataset, ["val"])
        check_classes(artifacts, dataset)
    comparison = compare(
        artifacts,
        parse_size(size) if size else None,
        parse_size(source, "--source"),
        threads,
        seconds,
        trust,
    )
    if dataset is not None and comparison.complete:
        comparison = scored(comparison, dataset, trust)
    return Outcome(
        report.text(comparison),
        report.to_dict(comparison),
        lambda path: report.draw(comparison, path),
        comparison.complete,
    )


def bench_training(
    recipe: str, data: Path | None, overrides: tuple[str, ...], seconds: float
) -> Outcome:
    """Times a training."""
    from asap_tf.benchmark import training_report as report
    from asap_tf.core.keras_backend import import_keras
    from asap_tf.training import check_data
    from asap_tf.training.recipe import load_recipe

    settings = load_recipe(recipe, overrides, data)
    checked = check_data(settings)

    import_keras()
    from asap_tf.benchmark.training import time_training

    speed = time_training(settings, checked, seconds)
    return Outcome(
        report.text(speed),
        report.to_dict(speed),
        lambda path: report.draw(speed, path),
        speed.complete,
    )
