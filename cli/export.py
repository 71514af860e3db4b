"""`asap-tf export`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import click

from asap_tf.cli.output import echo
from asap_tf.core.errors import UsageError, shown
from asap_tf.core.formats import FLAGS, FLOORS, TRT_ENGINES


def format_options(command: Callable) -> Callable:
    """Adds an option for every format that can be asked for."""
    for flag, rows in reversed(FLAGS.items()):
        text = f"{' or '.join(row.label for row in rows)} ({', '.join(rows[0].precisions)})."
        command = click.option(f"--{flag}", is_flag=True, help=text)(command)
    return command


@click.command()
@click.argument("model", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), required=True, help="A new folder.")
@format_options
@click.option(
    "--trt-engine",
    type=click.Choice(list(TRT_ENGINES)),
    help="Insist on one; else the first that is here. rtx builds ahead of time, without a GPU.",
)
@click.option(
    "--compute-capability",
    metavar="8.6,8.9",
    default="",
    help="GPUs that rtx builds for. [all that it can]",
)
@click.option("--bundle", is_flag=True, help="For --trt on another machine: a folder to run there.")
@click.option("--web", is_flag=True, help="A page that segments in the browser; alone.")
@click.option(
    "--layout",
    type=click.Choice(["triton", "tf-serving"]),
    help="A folder for that server, alone: of ONNX, or with --trt of TensorRT; of a SavedModel.",
)
@click.option("--vendor", is_flag=True, help="With --web: LiteRT.js beside it, by npm.")
@click.option(
    "--precision",
    "precisions",
    multiple=True,
    type=click.Choice(list(FLOORS)),
    default=("fp32",),
    show_default=True,
    help="Repeat for more. int8 needs --calibration; dynamic has int8 weights alone.",
)
@click.option("--size", metavar="HxW", help="Of the network. [the model's own]")
@click.option("--batch", default=1, show_default=True, help="Frames to a call.")
@click.option(
    "--output",
    type=click.Choice(["labels", "labels+confidence", "logits"]),
    help="Confidence is in 1/255.  [labels; of a page labels+confidence]",
)
@click.option(
    "--label-stride",
    default=1,
    show_default=True,
    metavar="N",
    help="N x N pixels share a label: faster on processors, at a price in mIoU that is printed.",
)
@click.option(
    "--calibration",
    type=click.Path(path_type=Path),
    help="Dataset or folder of images, to calibrate int8 and prove the result on.",
)
@click.option("--calibration-frames", default=100, show_default=True, help="At most.")
def command(
    model: Path,
    out: Path,
    trt_engine: str | None,
    compute_capability: str,
    bundle: bool,
    web: bool,
    layout: str | None,
    vendor: bool,
    precisions: tuple[str, ...],
    size: str | None,
    batch: int,
    output: str | None,
    label_stride: int,
    calibration: Path | None,
    calibration_frames: int,
    **chosen: bool,
) -> None:
    """Export MODEL, a run folder or .keras file, for other runtimes.

    Every artifact takes uint8 RGB frames and gives label maps, and is compared with the Keras model
    on 20 frames before it gets its name.

    \b
    asap-tf export runs/camvid --out export --tflite --precision fp32 --precision int8 \\
        --calibration CamVid
    asap-tf export runs/camvid --out export --onnx --openvino --size 512x1024
    asap-tf export runs/camvid --out export --trt --precision fp16 --compute-capability 8.6,8.9
    asap-tf export runs/camvid --out bundle --trt --bundle --calibration CamVid
    asap-tf export runs/camvid --out page --web
    asap-tf export runs/camvid --out models --layout triton
    """
    from asap_tf.cli.checks import parse_size
    from asap_tf.core.keras_backend import import_keras
    from asap_tf.core.progress import ProgressBar

    import_keras()
    from asap_tf.export.exporter import Artifact, export

    flags = [flag for flag in FLAGS if chosen[flag.replace("-", "_")]]
    if not (flags or trt_engine or bundle or web or layout):
        raise UsageError(f"no format: give one or more of --{', --'.join(FLAGS)}, --web")
    if bundle + web + bool(layout) > 1:
        raise UsageError(
            "`web`, `bundle` and `layout` make folders of their own: export one after the other"
        )
    if layout and trt_engine:
        raise UsageError("`layout` takes TensorRT's own engines: leave `trt_engine` out")
    if vendor and not web:
        raise UsageError("`vendor` goes with `web`")
    formats = [row.name for flag in flags if flag != "trt" for row in FLAGS[flag]]
    if ("trt" in flags or trt_engine) and not (bundle or layout):
        from asap_tf.export.gpu_probe import tensorrt_choice

        choice = tensorrt_choice(trt_engine)
        echo(choice.reason)
        formats.append(choice.format)

    def on_artifact(artifact: Artifact) -> None:
        ProgressBar.write(shown(f"{artifact.path}  {artifact.megabytes:.1f} MB  {artifact.parity}"))
        if artifact.note:
            ProgressBar.write(f"    {artifact.note}")

    package = None
    if web:
        from asap_tf.export.web import web_page

        package = web_page(precisions, vendor)
    if layout:
        from asap_tf.export.layouts import server_folder

        package, formats = server_folder(layout, flags, precisions), []
    if bundle:
        from asap_tf.export.bundle import tensorrt_bundle

        package = tensorrt_bundle(calibrated=calibration is not None)
    artifacts = export(
        model,
        out,
        formats,
        precisions,
        size=parse_size(size) if size else None,
        batch=batch,
        output=output or ("labels+confidence" if web else "labels"),
        label_stride=label_stride,
        calibration=calibration,
        calibration_frames=calibration_frames,
        compute_capability=[name for name in compute_capability.split(",") if name],
        package=package,
        on_artifact=on_artifact,
    )
    echo(f"compared with the Keras model on {artifacts[0].parity.source}")
    if package:
        echo(f"{out / package.folder}  {package.hint}")
