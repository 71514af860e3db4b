"""`asap-tf predict`."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.argument("model", type=click.Path(path_type=Path))
@click.argument("inputs", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("predictions"),
    show_default=True,
    help="Folder for results.",
)
@click.option(
    "--mode",
    type=click.Choice(["overlay", "color", "ids"]),
    default="overlay",
    show_default=True,
    help="Frame under its labels, colours alone, or raw train ids.",
)
@click.option("--skip-bad", is_flag=True, help="Go on without damaged files, and list them.")
def command(model: Path, inputs: tuple[Path, ...], out: Path, mode: str, skip_bad: bool) -> None:
    """Label INPUTS (images, folders of images, videos) with MODEL: trained, exported or a preset.

    \b
    asap-tf predict asap_lite0_camvid photo.jpg
    asap-tf predict runs/camvid street.jpg drive.mp4 --out predictions
    asap-tf predict export/asap_int8.tflite street.jpg --out predictions
    """
    from asap_tf.prediction import predict_inputs
    from asap_tf.runtime import load

    for path in predict_inputs(load(model), inputs, out, mode, skip_bad):
        click.echo(path)
