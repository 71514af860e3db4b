"""`asap-tf label`."""

from __future__ import annotations

from pathlib import Path

import click

from asap_tf.cli.output import echo
from asap_tf.cli.trust import trust_option


@click.command()
@click.argument("model")
@click.argument("source")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder for labels.")
@click.option("--workers", default=1, show_default=True, help="Processes, each with the model.")
@click.option("--cluster", help="Address of a Ray cluster.  [default: this machine]")
@click.option("--threads", type=int, help="Of a worker.  [default: all cores, shared; cluster: 1]")
@click.option("--gpus", default=0.0, show_default=True, help="GPUs of a worker; may be a fraction.")
@click.option(
    "--format",
    type=click.Choice(["png", "parquet"]),
    default="png",
    show_default=True,
    help="A file for each label map, or shards that hold many.",
)
@click.option(
    "--block",
    default=64,
    show_default=True,
    help="Frames that are done together, and lost with a killed worker.",
)
@trust_option
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
    trust: bool,
) -> None:
    """Label large collections of frames with MODEL, by many workers; resumable at any moment.

    SOURCE is a folder (the images in it and its subfolders), a video, a text file with one path or
    URI per line, or a column of a Parquet file or folder. Relative paths in these start in the
    current folder; URIs (s3://, gs://, https://) need fsspec's package for them. A source is listed
    once: frames that are added to a folder later need another --out.

    Every frame, line and row is once in OUT/manifest.parquet, as labeled or as failed with the
    reason. After Ctrl-C or a crash the same command resumes.

    \b
    asap-tf label export/asap_int8.tflite frames --out labels --workers 8
    asap-tf label export/asap_int8.tflite drive.mp4 --out labels --format parquet
    asap-tf label model.keras frames.parquet:path --out labels --cluster auto --workers 64 --gpus 1
    """
    from asap_tf.labelling.cluster import Resources
    from asap_tf.labelling.run import label

    resources = Resources(workers, threads, gpus, cluster)
    counts = label(model, source, out, resources, format, block, trust)
    echo(f"{out}: {counts['labelled']} labeled, {counts['failed']} failed")
