"""`asap-tf gallery`."""

from __future__ import annotations

from pathlib import Path

import click

from asap_tf.cli.output import echo
from asap_tf.cli.trust import trust_option


@click.command()
@click.argument("models", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--data", type=click.Path(path_type=Path), required=True, help="Dataset's folder.")
@click.option("--split", default="val", show_default=True, help="Split to choose from.")
@click.option(
    "--count",
    type=click.IntRange(min=1),
    default=3,
    show_default=True,
    help="Number of best and of worst frames.",
)
@click.option(
    "--out", type=click.Path(path_type=Path), default=Path("gallery.png"), show_default=True
)
@trust_option
def command(
    models: tuple[Path, ...], data: Path, split: str, count: int, out: Path, trust: bool
) -> None:
    """Show the frames that MODELS label best and worst, beside the truth.

    \b
    asap-tf gallery asap_lite0_camvid runs/camvid --data CamVid
    """
    from asap_tf.cli.checks import require_outputs
    from asap_tf.data import open_dataset
    from asap_tf.data.check import checked
    from asap_tf.data.images import write_image
    from asap_tf.inference.gallery import gallery
    from asap_tf.runtime import load

    require_outputs(None, out)
    dataset = open_dataset(data)
    checked(dataset, [split])
    segmenters = {str(model): load(model, trust=trust) for model in models}
    write_image(out, gallery(segmenters, dataset, split, count))
    echo(out)
