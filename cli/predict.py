"""`asap-tf predict`."""

from __future__ import annotations

from pathlib import Path

import click

from asap_tf.cli.output import echo
from asap_tf.cli.trust import trust_option


@click.command()
@click.argument("model", type=click.Path(path_type=Path))
@click.argument("inputs", nargs=-1, required=True)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("predictions"),
    show_default=True,
    help="Folder for results.",
)
@click.option(
    "--mode",
    type=click.Choice(
        ["overlay", "color", "ids", "confidence", "labelme", "coco", "probabilities"]
    ),
    default="overlay",
    show_default=True,
    help="Frame under its labels, colors alone, raw train ids, or how sure they are, 0 to 255; of "
    "images, also polygons for Labelme (JSON), COCO's panoptic segments (PNG and one JSON), or all "
    "classes' probabilities (NPZ).",
)
@click.option(
    "--format",
    type=click.Choice(["png", "jpg", "webp"]),
    default="png",
    show_default=True,
    help="Of overlays and colors of images; jpg is the fastest.",
)
@click.option(
    "--unknown-below",
    type=float,
    help="Confidence, 0 to 1, below which a pixel is unknown: 255.",
)
@click.option(
    "--size",
    help="Of frames for the network: their longer side, HEIGHTxWIDTH, or native for that of each "
    "frame. [the model's own]",
)
@click.option(
    "--tile",
    type=int,
    help="Run frames in tiles of this side, cut from them at --size, or else at their own size.",
)
@click.option("--overlap", default=128, show_default=True, help="Of tiles, in pixels.")
@click.option(
    "--legend/--no-legend",
    default=True,
    show_default=True,
    help="Below overlays, the classes that occur and their shares.",
)
@click.option(
    "--json",
    type=click.Path(path_type=Path),
    help="Also write, for all images, sizes, shares of the classes and seconds to this file.",
)
@click.option("--polygons", is_flag=True, help="Add the classes' regions to --json.")
@click.option("--resume", is_flag=True, help="Go on where the same call was stopped.")
@click.option("--skip-bad", is_flag=True, help="Skip damaged files, with a warning for each.")
@click.option(
    "--frames",
    type=click.Choice(["newest", "every"]),
    default="newest",
    show_default=True,
    help="Of a stream: label the newest frame and drop others, or let the source wait.",
)
@trust_option
def command(
    model: Path,
    inputs: tuple[str, ...],
    out: Path,
    mode: str,
    format: str,
    unknown_below: float | None,
    size: str | None,
    tile: int | None,
    overlap: int,
    legend: bool,
    json: Path | None,
    polygons: bool,
    resume: bool,
    skip_bad: bool,
    frames: str,
    trust: bool,
) -> None:
    """Label INPUTS (images, folders, videos, or one live stream) with MODEL.

    MODEL is trained, exported, or a preset. A stream is an address or a camera device. Ctrl-C keeps
    what is labeled so far; of files, --resume goes on.

    \b
    asap-tf predict asap_lite0_street photo.jpg --size 1024
    asap-tf predict runs/camvid street.jpg drive.mp4 --out predictions
    asap-tf predict export/asap_int8.tflite rtsp://camera --frames newest
    """
    from asap_tf.cli.checks import parse_frame_size
    from asap_tf.core.errors import UsageError
    from asap_tf.core.signals import stop_on_signals
    from asap_tf.inference.files import predict_inputs
    from asap_tf.inference.panoptic import FILE_NAME, PanopticReport
    from asap_tf.inference.report import Report
    from asap_tf.inference.streams import is_stream, predict_stream
    from asap_tf.runtime import load

    live = any(map(is_stream, inputs))
    if live and len(inputs) > 1:
        raise UsageError("a stream has to be the only input")
    if live and json is not None:
        raise UsageError("--json is for images, not for a stream")
    if live and resume:
        raise UsageError("--resume is for files, not for a stream")
    if polygons and json is None:
        raise UsageError("--polygons: are written to a file; name it with --json")
    if mode == "coco" and (json is not None or resume):
        raise UsageError(
            f"--mode coco tells of all images in {FILE_NAME}: leave --json, --resume out"
        )
    segmenter = load(model, trust=trust)
    if size is not None:
        segmenter.size = parse_frame_size(size)
    if tile is not None:
        segmenter.tile = (tile, overlap)
    if not live:
        paths = [Path(name) for name in inputs]
        report = None if json is None else Report(json, str(model), polygons)
        if mode == "coco":
            json = out / FILE_NAME
            report = PanopticReport(json, str(model), out=out)
        with stop_on_signals() as stop:
            written = predict_inputs(
                segmenter,
                paths,
                out,
                mode,
                skip_bad,
                legend,
                format,
                unknown_below,
                stop,
                report,
                resume,
            )
        for path in written + [json] * (json is not None):
            echo(path)
        return
    target, count = predict_stream(segmenter, inputs[0], out, mode, frames, legend, unknown_below)
    echo(f"{target}: {count.labeled} frames labeled, {count.dropped} dropped")
