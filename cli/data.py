"""`asap-tf data`: make, check and look at datasets."""

from __future__ import annotations

from pathlib import Path

import click

from asap_tf.cli.output import echo
from asap_tf.core.formats import ANNOTATIONS

SHOWN = 20
"""Things not mapped that are listed; all of one kind are seldom of interest."""


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
@click.argument("source", type=click.Path(path_type=Path))
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--from", "kind", required=True, metavar="FORMAT", help=f"{', '.join(ANNOTATIONS)}.")
@click.option(
    "--rest",
    default="background",
    show_default=True,
    help="Class of pixels without annotation; 'ignored' leaves them out.",
)
@click.option("--val", default=0.1, show_default=True, help="Share to validate on, if none is.")
def convert(source: Path, out: Path, kind: str, rest: str, val: float) -> None:
    """Make a dataset in OUT of what an annotation tool has written in SOURCE.

    What has no place in a label map is listed.

    \b
    asap-tf data convert labelme_folder dataset --from labelme
    asap-tf train own_data --data dataset
    """
    from asap_tf.data.convert import convert

    made = convert(source, out, kind, None if rest == "ignored" else rest, val)
    for problem in made.unmapped[:SHOWN]:
        echo(f"not mapped: {problem}", err=True)
    if len(made.unmapped) > SHOWN:
        echo(f"not mapped: {len(made.unmapped) - SHOWN} more", err=True)
    counts = " + ".join(f"{count} {split}" for split, count in made.counts.items())
    echo(f"{out}: {counts} frames, {len(made.classes)} classes: {', '.join(made.classes)}")


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
    from asap_tf.data.images import write_image
    from asap_tf.inference.visualize import dataset_sheet

    write_image(out, dataset_sheet(open_dataset(root), split, frames))
    echo(out)


@command.command()
@click.argument("root", type=click.Path(path_type=Path))
def prior(root: Path) -> None:
    """Score the location prior of ROOT: each position's most frequent class, a baseline."""
    from asap_tf.data import open_dataset
    from asap_tf.inference.prior import location_prior

    echo(location_prior(open_dataset(root)).table())
