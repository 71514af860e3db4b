"""Labels a source of any length by Ray Data, on this machine or a cluster."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from asap_tf.core.errors import AsapError, Interrupted, UsageError, nearest
from asap_tf.core.progress import ProgressBar
from asap_tf.core.signals import Stop, stop_on_signals
from asap_tf.labelling.cluster import Resources, ray_session, rows_until_stopped, worker_error
from asap_tf.labelling.folder import LabelFolder, LabelJob
from asap_tf.labelling.source import Input, Source
from asap_tf.labelling.worker import LabelWorker, class_names, model_hash
from asap_tf.saving import locate, preset_file

FORMATS = ("png", "parquet")

_TASKS = 2000
"""Ray tasks that are made at least, if there are as many blocks; a task holds several of them."""
_TASKS_PER_WORKER = 20


def label(
    model: str | Path,
    source: str,
    out: Path,
    resources: Resources | None = None,
    format: str = "png",
    block: int = 64,
    trust: bool = False,
) -> dict[str, int]:
    """Labels all frames of a source that are not labeled yet, and writes the manifest.

    Args:
        model: Any model that `asap_tf.load` opens; on a cluster, at the same path everywhere.
        source: Folder, video, list or table, as `Source` takes it.
        out: Folder for the labels, new or started by the same call; on a cluster, shared.
        resources: Number of workers and their hardware; None is one worker with all cores.
        format: `"png"`, a file for each label map, or `"parquet"`, all of a block in its shard.
        block: Number of inputs that are done together, and lost with a killed worker.
        trust: As of `asap_tf.load`.

    Returns:
        Number of inputs by their state, `"labelled"` and `"failed"`.

    Raises:
        UsageError: for a wrong argument, or an `out` that was started with another model, source,
            format or block, holds other files, or has another process labeling into it.
        Interrupted: on SIGINT or SIGTERM; the same call resumes.
        AsapError: if the model or the source is damaged, or the labels cannot be written.

    Examples:
        >>> label("asap_int8.tflite", "frames.parquet:path", Path("labels"), Resources(workers=8))
        {'labelled': 9998, 'failed': 2}
    """
    resources = resources or Resources()
    if format not in FORMATS:
        raise UsageError(f"`format` '{format}': {nearest(format, FORMATS)}")
    if block < 1:
        raise UsageError(f"`block` {block}: at least 1 is needed")
    model = str(model) if preset_file(model) else os.path.abspath(locate(model))
    frames = Source(source)
    wanted = LabelJob(frames.name, frames.digest(), model_hash(model), format, block)
    folder = LabelFolder(Path(os.path.abspath(out)))
    # Links in either may lead into the other.
    home = os.path.realpath(frames.name)
    if frames.kind == "folder" and folder.path.resolve().is_relative_to(home):
        raise UsageError(f"{out}: lies in the folder to label; give another `out`")
    _started_job(folder, wanted)
    with folder.claimed():
        job = _started_job(folder, wanted)
        if job is None:
            inputs = frames.inputs()
            # An empty source is an error before anything starts.
            inputs = chain([next(inputs)], inputs)
        if job is None or folder.pending(job).size:
            # Ray has a SIGTERM handler of its own: ours comes after it.
            with ray_session(folder.path, resources) as ray, stop_on_signals() as stop:
                _require_gpus(ray, resources)
                if job is None:
                    classes = _class_names(ray, model, resources, trust, stop)
                    listed = _listed(inputs, stop)
                    job = folder.start(replace(wanted, classes=classes), listed)
                _label_blocks(ray, folder, job, model, resources, trust, stop)
        counts = folder.merge(job)
    if not counts["labelled"]:
        raise AsapError(f"none of the {job.count} inputs could be labeled; {folder.first_reason()}")
    return counts


def _started_job(folder: LabelFolder, wanted: LabelJob) -> LabelJob | None:
    """The job that a folder was started with; None for a new folder.

    Raises:
        UsageError: if it is not the one that is wanted now.
    """
    job = folder.job()
    if job is None:
        return None
    if job.digest != wanted.digest and job.source == wanted.source:
        raise UsageError(
            f"{folder.path}: was started with another source: {job.source} has changed since; "
            "give another `out`"
        )
    for field in ("model", "source", "format", "block"):
        before, now = getattr(job, field), getattr(wanted, field)
        if before != now:
            raise UsageError(
                f"{folder.path}: was started with another {field}, {before}, not {now}; give "
                "another `out`"
            )
    return job


def _require_gpus(ray: Any, resources: Resources) -> None:
    found = ray.cluster_resources().get("GPU", 0)
    if resources.cluster is None and resources.gpus > found:
        raise AsapError(f"`gpus` {resources.gpus:g}: Ray finds {found:g} on this machine")


def _class_names(
    ray: Any, model: str, resources: Resources, trust: bool, stop: Stop
) -> tuple[str, ...]:
    """Names of a model's classes, by a worker: its runtime stays out of this process."""
    cores = resources.cores
    task = ray.remote(num_cpus=cores, num_gpus=resources.gpus, max_calls=1)(class_names)
    names = task.remote(model, cores, trust)
    while not ray.wait([names], timeout=0.2)[0]:
        if stop.requested:
            raise Interrupted("stopped before the first label", stop.requested)
    try:
        return ray.get(names)
    except ray.exceptions.RayTaskError as error:
        raise worker_error(error) from error


def _listed(inputs: Iterator[Input], stop: Stop) -> Iterator[Input]:
    """The inputs, counted on the terminal, until a stop is requested."""
    for found in ProgressBar(inputs, "listing", unit="input", leave=False):
        if stop.requested:
            raise Interrupted("stopped before the first label", stop.requested)
        yield found


def _label_blocks(
    ray: Any,
    folder: LabelFolder,
    job: LabelJob,
    model: str,
    resources: Resources,
    trust: bool,
    stop: Stop,
) -> None:
    """Labels all blocks that are not done.

    Raises:
        Interrupted: if a stop is requested.
    """
    pending = folder.pending(job)
    tasks = min(len(pending), max(_TASKS, _TASKS_PER_WORKER * resources.workers))
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.raise_original_map_exception = True
    results = ray.data.from_numpy(np.array_split(pending, tasks)).map_batches(
        LabelWorker,
        fn_constructor_args=(str(folder.path), model, resources.cores, trust),
        batch_size=1,
        compute=ray.data.ActorPoolStrategy(size=min(resources.workers, tasks)),
        num_cpus=resources.cores,
        num_gpus=resources.gpus or None,
    )
    done = _inputs_done(job, pending)
    with ProgressBar(desc="labeling", total=job.count, initial=done, unit="frame") as progress:
        for row in rows_until_stopped(results, stop):
            progress.update(int(row["inputs"]))
    if stop.requested:
        done = _inputs_done(job, folder.pending(job))
        raise Interrupted(
            f"stopped with {done} of {job.count} inputs done; the same command resumes",
            stop.requested,
        )


def _inputs_done(job: LabelJob, pending: np.ndarray) -> int:
    """Inputs of all blocks but the pending ones; the last block may be short."""
    return job.count - int(np.minimum(job.block, job.count - pending * job.block).sum())
