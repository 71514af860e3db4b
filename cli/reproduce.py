"""`asap-tf reproduce`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from asap_tf.cli.output import echo

if TYPE_CHECKING:
    from asap_tf.reproduce.ablations import Row, Variant
    from asap_tf.training.recipe import Recipe

json_option = click.option(
    "--json", "json_file", type=click.Path(path_type=Path), help="Write all numbers here."
)


def training_options(command: Callable) -> Callable:
    """Options of a table whose rows are trainings, except their number."""
    for option in (
        json_option,
        click.option(
            "--out",
            type=click.Path(path_type=Path),
            help="Folder of the trainings; those in it are kept or resumed. [runs/RECIPE]",
        ),
        click.option(
            "--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Change their recipe."
        ),
        click.option("--recipe", help="Recipe of the trainings. [that of the kind of --data]"),
        click.option(
            "--data", type=click.Path(path_type=Path), help="Folder of the dataset. [Streets]"
        ),
    ):
        command = option(command)
    return command


@click.group()
def command() -> None:
    """Print a table of the paper beside our results, and which claims are reproduced."""


@command.command()
@click.argument("runs", nargs=-1, type=click.Path(path_type=Path))
@click.option("--data", type=click.Path(path_type=Path), help="Dataset to score RUNS on.")
@click.option("--size", default="512x1024", show_default=True, help="HEIGHTxWIDTH of the frame.")
@click.option("--threads", type=click.IntRange(min=1), help="Processor threads. [all cores]")
@click.option(
    "--seconds",
    type=float,
    default=60.0,
    show_default=True,
    help="Least duration; 100 rounds are taken in any case.",
)
@json_option
def table1(
    runs: tuple[Path, ...],
    data: Path | None,
    size: str,
    threads: int | None,
    seconds: float,
    json_file: Path | None,
) -> None:
    """Speed of ASAP and eleven rivals, exported alike; with RUNS, trained networks, their mIoU.

    \b
    asap-tf reproduce table1 --threads 2
    asap-tf reproduce table1 runs/asap runs/pidnet_s --data Cityscapes
    """
    from asap_tf.benchmark.machine import this_machine
    from asap_tf.cli.checks import parse_size, require_duration, require_outputs
    from asap_tf.core.errors import UsageError
    from asap_tf.core.files import write_json
    from asap_tf.core.keras_backend import import_keras
    from asap_tf.core.sizes import STRIDE
    from asap_tf.data import open_dataset

    if bool(runs) != (data is not None):
        raise UsageError("RUNS are scored on --data: give both, or neither")
    require_duration(seconds)
    require_outputs(json_file)
    sides = parse_size(size)
    if any(side % STRIDE for side in sides):
        raise UsageError(f"--size {size}: height and width have to be multiples of {STRIDE}")
    dataset = open_dataset(data) if data else None
    import_keras()
    from asap_tf.reproduce import table1 as table

    scores = table.score_runs(runs, dataset) if dataset else {}
    machine = this_machine()
    timings = table.time_networks(sides, threads, seconds)
    echo(table.text(timings, machine, sides, threads, scores))
    if json_file is not None:
        write_json(json_file, table.to_dict(timings, machine, scores))


@command.command()
@click.option("--seeds", type=click.IntRange(min=0), default=3, show_default=True)
@training_options
def table2(
    seeds: int,
    data: Path | None,
    recipe: str | None,
    overrides: tuple[str, ...],
    out: Path | None,
    json_file: Path | None,
) -> None:
    """Norms in FFDN: none, one, the other, both. An hour on two cores; --seeds 0 trains nothing.

    \b
    asap-tf reproduce table2
    asap-tf reproduce table2 --data CamVid --seeds 1
    asap-tf reproduce table2 --data cityscapes256 --recipe cityscapes256 --set model.width=0.5
    """
    from asap_tf.cli.checks import require_outputs
    from asap_tf.core.files import write_json
    from asap_tf.reproduce import table2 as table
    from asap_tf.reproduce.ablations import FUSIONS, to_dict

    require_outputs(json_file)
    trained, rows = trainings(FUSIONS, seeds, data, recipe, overrides, out)
    echo(table.text(rows))
    if json_file is not None:
        write_json(json_file, to_dict(trained, rows))


@command.command()
@click.option("--seeds", type=click.IntRange(min=0), default=0, show_default=True)
@click.option(
    "--chart",
    type=click.Path(path_type=Path),
    help="Time the modules at several sizes of the frame, and draw a chart into this .png file.",
)
@training_options
def table3(
    seeds: int,
    chart: Path | None,
    data: Path | None,
    recipe: str | None,
    overrides: tuple[str, ...],
    out: Path | None,
    json_file: Path | None,
) -> None:
    """Fusion and attention modules: their operations, with --seeds their mIoU.

    \b
    asap-tf reproduce table3
    asap-tf reproduce table3 --chart scaling.png
    asap-tf reproduce table3 --seeds 3
    """
    from asap_tf.cli.checks import require_outputs
    from asap_tf.core.files import write_json
    from asap_tf.core.keras_backend import import_keras
    from asap_tf.reproduce import table3 as table
    from asap_tf.reproduce.ablations import MODULES, to_dict

    require_outputs(json_file, chart)
    import_keras()
    counted = table.counts()
    trained, rows = trainings(MODULES, seeds, data, recipe, overrides, out)
    echo(table.text(counted, rows))
    content = {"gflops": counted, **to_dict(trained, rows)}
    if chart is not None:
        from asap_tf.reproduce import scaling

        timings = scaling.measure_scaling()
        echo(scaling.text(timings))
        scaling.draw(timings, chart)
        content["scaling"] = scaling.to_dict(timings)
    if json_file is not None:
        write_json(json_file, content)


def trainings(
    variants: Sequence[Variant],
    seeds: int,
    data: Path | None,
    recipe: str | None,
    overrides: tuple[str, ...],
    out: Path | None,
) -> tuple[Recipe, list[Row]]:
    """Trains the rows that are missing; returns the recipe and all rows so far."""
    from asap_tf.reproduce.ablations import budget, finished_rows, train_rows

    trained, folder = budget(data, overrides, out, recipe)
    train_rows(
        variants,
        seeds,
        trained,
        folder,
        lambda row: echo(f"{row.variant}, seed {row.seed}: {row.miou:.1%} mIoU", err=True),
    )
    return trained, finished_rows(variants, folder)
