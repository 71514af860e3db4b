"""`asap-tf label`."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.argument("model")
@click.argument("source")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder for labels.")
@click.option("--workers", default=1, show_default=True, help="Processes, each with the model.")
@click.option("--cluster", help="Address of a Ray cluster.  [default: this machine]")
@click.option("--threads", type=int, help="Of a worker.  [default: cores shared out; cluster: 1]")
@click.option("--gpus", default=0.0, show_default=True, help="GPUs of a worker, or part of one.")
@click.option(
    "--format",
    type=click.Choice(["png", "parquet"]),
    default="png",
    show_default=True,
    help="A file for each label map, or shards that hold them.",
)
@click.option(
    "--block",
    default=64,
    show_default=True,
    help="Frames that are done, and lost with a worker, together.",
)
def command(
    model: str,
    source: str,
    out: Path,
    workers: int,
    cluster: str | None,
    threads: int | None,
    gpus: float,
    format: str,
    block: int,
) -> None:
    """Label any number of frames with MODEL, by many workers, to be gone on with at any moment.

    SOURCE is a folder (the images in it and its subfolders), a video, a text file with a path or
    URI a line, or a column of a Parquet file or folder. Relative paths in these start in the
    current folder; URIs (s3://, gs://, https://) need fsspec's package for them. A source is listed
    once: frames that come into a folder later need another --out.

    Every frame, line and row ends once in OUT/manifest.parquet, as labeled or as failed with the
    reason. After Ctrl-C or a crash the same command goes on.

    \b
    asap-tf label export/asap_int8.tflite frames --out labels --workers 8
    asap-tf label export/asap_int8.tflite drive.mp4 --out labels --format parquet
    asap-tf label model.keras frames.parquet:path --out labels --cluster auto --workers 64 --gpus 1
    """
    from asap_tf.labelling.run import Plan, label

    counts = label(model, source, out, Plan(workers, threads, gpus, cluster), format, block)
    click.echo(f"{out}: {counts['labelled']} labeled, {counts['failed']} failed")
