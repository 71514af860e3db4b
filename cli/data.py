"""`asap-tf data`: make, check and look at datasets."""

from __future__ import annotations

from pathlib import Path

import click

from asap_tf.cli.output import echo


@click.group("data")
def command() -> None:
    """Make, check and look at datasets."""


@command.command()
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--train", default=200, show_default=True, help="Frames to train on.")
@click.option("--val", default=50, show_default=True, help="Frames to validate on.")
@click.option("--size", default="512x1024", show_default=True, help="HEIGHTxWIDTH of a frame.")
@click.option("--seed", default=0, show_default=True, help="Each seed gives other streets.")
def streets(out: Path, train: int, val: int, size: str, seed: int) -> None:
    """Render streets into OUT, in the layout of Cityscapes."""
    from asap_tf.cli.checks import parse_size
    from asap_tf.streets import write_streets

    write_streets(out, train, val, seed, parse_size(size))
    echo(f"{out}: {train} + {val} frames of {size}")


@command.command()
@click.argument("root", type=click.Path(path_type=Path))
@click.pass_context
def check(context: click.Context, root: Path) -> None:
    """Read every file of the dataset in ROOT; print counts, class shares and defects."""
    from asap_tf.data import open_dataset
    from asap_tf.data.check import check_dataset

    report = check_dataset(open_dataset(root))
    echo(report.summary())
    context.exit(1 if report.defects else 0)


@command.command()
@click.argument("root", type=click.Path(path_type=Path))
@click.option("--split", default="train", show_default=True)
@click.option(
    "--frames",
    type=click.IntRange(min=1),
    default=12,
    show_default=True,
    help="Number of frames, evenly spread.",
)
@click.option(
    "--out", type=click.Path(path_type=Path), default=Path("sheet.png"), show_default=True
)
def show(root: Path, split: str, frames: int, out: Path) -> None:
    """Draw a contact sheet of frames in ROOT beside their labels."""
    from asap_tf.data import open_dataset
    from asap_tf.data.images import write_png
    from asap_tf.inference.visualize import dataset_sheet

    write_png(out, dataset_sheet(open_dataset(root), split, frames))
    echo(out)


@command.command()
@click.argument("root", type=click.Path(path_type=Path))
def prior(root: Path) -> None:
    """Score the location prior of ROOT: each position's most frequent class, a baseline."""
    from asap_tf.data import open_dataset
    from asap_tf.inference.evaluate import location_prior

    echo(location_prior(open_dataset(root)).table())
