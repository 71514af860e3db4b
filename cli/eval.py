"""`asap-tf eval`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from asap_tf.cli.hosts import host_options
from asap_tf.cli.output import echo
from asap_tf.cli.trust import trust_option

if TYPE_CHECKING:
    from asap_tf.inference.evaluate import Evaluation
    from asap_tf.inference.robustness import Robustness


@click.command()
@click.argument("model", type=click.Path(path_type=Path))
@click.option("--data", type=click.Path(path_type=Path), required=True, help="Dataset's folder.")
@click.option("--split", default="val", show_default=True, help="Split to score.")
@click.option(
    "--holdout",
    metavar="PREFIX",
    help="Score instead the frames of this split and of train whose names begin so: what "
    "data.holdout keeps from training.",
)
@click.option("--frames", type=int, help="Of the split, at most, evenly spread. [all]")
@click.option(
    "--table",
    metavar="NAME|FILE",
    help="What the model's classes are in the data: camvid, idd_lite, ... [by name]",
)
@click.option(
    "--size",
    help="Of frames for the network: their longer side, HEIGHTxWIDTH, or native for that of each "
    "frame. [the model's own]",
)
@click.option("--scales", multiple=True, type=float, default=(1.0,), help="Repeat to average.")
@click.option("--flip", is_flag=True, help="Average with the mirrored frame too.")
@click.option("--boundary", type=int, help="Also score what is up to so many pixels from one.")
@click.option(
    "--by",
    multiple=True,
    type=click.Choice(["size", "row"]),
    help="Also print IoU by the size of regions, or by distance from the lower edge. Repeatable.",
)
@click.option(
    "--per-frame", type=click.Path(path_type=Path), help="Write each frame's scores here (.csv)."
)
@click.option(
    "--corruptions",
    is_flag=True,
    help="Instead, score under noise, blur, weather and compression of 5 severities.",
)
@click.option(
    "--calibrate",
    is_flag=True,
    help="Instead of scoring, fit MODEL's confidences to the split, and keep that in its file.",
)
@click.option("--skip-bad", is_flag=True, help="Skip damaged files, with a warning for each.")
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="Write scores here.")
@click.option(
    "--submission",
    type=click.Path(path_type=Path),
    help="Instead of scoring, write the split for the Cityscapes test server (.zip).",
)
@trust_option
@host_options
def command(
    model: Path,
    data: Path,
    split: str,
    holdout: str | None,
    frames: int | None,
    table: str | None,
    size: str | None,
    scales: tuple[float, ...],
    flip: bool,
    boundary: int | None,
    by: tuple[str, ...],
    per_frame: Path | None,
    corruptions: bool,
    calibrate: bool,
    skip_bad: bool,
    json_file: Path | None,
    submission: Path | None,
    hosts: str,
    host_id: int | None,
    coordinator: str | None,
    trust: bool,
) -> None:
    """Score MODEL, trained or exported, at the resolution of the labels.

    \b
    asap-tf eval runs/camvid --data CamVid
    asap-tf eval export/asap_int8.tflite --data CamVid
    asap-tf eval model.keras --data IDD --table idd_lite --holdout 5
    asap-tf eval model.keras --data Cityscapes --scales 0.75 --scales 1 --scales 1.5 --flip
    asap-tf eval runs/camvid --data CamVid --corruptions --frames 50
    asap-tf eval model.keras --data Cityscapes --split test --submission test.zip
    asap-tf eval model.keras --data DATA --hosts 2 --host-id 0 --coordinator node0:7000
    """
    from asap_tf.cli.checks import parse_frame_size
    from asap_tf.core.distributed import connect
    from asap_tf.core.errors import UsageError
    from asap_tf.data import open_dataset
    from asap_tf.data.check import checked
    from asap_tf.data.label_tables import load_table
    from asap_tf.inference.sharded_check import sharded
    from asap_tf.saving import locate

    if (submission is not None or calibrate or corruptions) and hosts != "1":
        raise UsageError("--submission, --calibrate and --corruptions: leave --hosts out")
    if corruptions and (tuple(scales) != (1.0,) or flip or boundary or by or per_frame):
        raise UsageError(
            "--corruptions gives mIoU alone: leave --scales, --flip, --boundary, --by and "
            "--per-frame out"
        )
    if submission is not None and frames is not None:
        raise UsageError("--submission is of a whole split: leave --frames out")
    if calibrate and locate(model) != model:
        raise UsageError(f"{model} is no file of yours: copy {locate(model)}, give the copy")
    names = load_table(table) if table else None
    with connect(hosts, host_id, coordinator) as distributed:
        examine = sharded(distributed)
        dataset = open_dataset(data)
        if holdout is not None:
            dataset = dataset.holdout(holdout, "train", split)
        if frames is not None:
            dataset = dataset.thinned(split, frames)
        dataset = checked(dataset, [split], skip_bad, examine, labels=submission is None).dataset

        from asap_tf.inference.evaluate import evaluate
        from asap_tf.inference.submission import write_submission
        from asap_tf.runtime import load

        segmenter = load(model, trust=trust)
        if size is not None:
            segmenter.size = parse_frame_size(size)
        if submission is not None:
            write_submission(segmenter, dataset, split, submission)
            echo(f"{submission}: {len(dataset.pairs(split))} label maps, checked")
            return
        if calibrate:
            from asap_tf.inference.calibrate import calibrate as fitted

            calibration = fitted(segmenter, dataset, split)
            keep_temperature(model, calibration.temperature)
            echo(f"{model}: {calibration}")
            return
        if corruptions:
            from asap_tf.inference.robustness import robustness

            result = robustness(segmenter, dataset, split, names)
            echo(result.summary())
            write_scores(json_file, result, split)
            return
        evaluation = evaluate(
            segmenter, dataset, split, scales, flip, distributed, names, boundary, by
        )
    if not distributed.is_main:
        return
    echo(evaluation.summary())
    if per_frame is not None:
        evaluation.write_frames(per_frame)
    if "on_gpu" in segmenter.metadata:
        from asap_tf.saving import update_sidecar

        miou, runtime = evaluation.scores.miou, segmenter.network.runtime
        said = f"mIoU {miou:.1%} on {evaluation.num_frames} frames, by {runtime}"
        update_sidecar(model, on_gpu=said)
    write_scores(json_file, evaluation, split)


def write_scores(file: Path | None, result: Evaluation | Robustness, split: str) -> None:
    """Writes scores as JSON, if a file is named."""
    from asap_tf.core.files import write_json

    if file is not None:
        write_json(file, {**result.to_dict(), "split": split, "frames": result.num_frames})


def keep_temperature(model: Path, temperature: float) -> None:
    """Writes the temperature into a model's file, or into what is beside an exported one."""
    from asap_tf.saving import model_file, sidecar, update_metadata, update_sidecar

    if sidecar(model).is_file():
        update_sidecar(model, temperature=temperature)
    else:
        update_metadata(model_file(model), temperature=temperature)
