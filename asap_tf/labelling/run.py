"""Labels a source of any length by Ray Data, on this machine or a cluster."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import queue
import shutil
import signal
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from asap_tf.core.errors import AsapError, Interrupted, UsageError, first_line, nearest
from asap_tf.core.optional import require
from asap_tf.core.signals import Stop, stop_on_signals
from asap_tf.core.system import available_cores, stderr_silenced
from asap_tf.labelling.folder import Job, LabelFolder
from asap_tf.labelling.source import Input, Source
from asap_tf.labelling.worker import LabelWorker, class_names, model_hash
from asap_tf.saving.presets import preset_file

FORMATS = ("png", "parquet")
_TASKS = 2000
"""Tasks that Ray is given, at least: so many blocks go to a worker at once as make no more."""
_TASKS_A_WORKER = 20
_AHEAD = 1000
"""Answers of workers that may wait to be counted."""
_STORE = 100 * 2**20
"""Bytes of Ray's object store. Frames and labels never go through it."""


@dataclass(frozen=True)
class Plan:
    """How the work is shared out.

    Attributes:
        workers: Processes, each with the model open.
        threads: Processor threads of each; None shares out this machine's cores, and is 1 on a
            cluster.
        gpus: GPUs of each, or the part of one.
        cluster: Address of a Ray cluster; None makes one of this machine, for as long as it takes.
    """

    workers: int = 1
    threads: int | None = None
    gpus: float = 0.0
    cluster: str | None = None

    def __post_init__(self) -> None:
        for name, value in (("workers", self.workers), ("threads", self.threads)):
            if value is not None and value < 1:
                raise UsageError(f"{name}={value}: at least 1 is needed")
        if self.gpus < 0:
            raise UsageError(f"gpus={self.gpus}: cannot be below 0")

    @property
    def cores(self) -> int:
        """Threads of each worker."""
        shared_out = 1 if self.cluster else max(1, available_cores() // self.workers)
        return self.threads or shared_out


def label(
    model: str | Path,
    source: str,
    out: Path,
    plan: Plan | None = None,
    format: str = "png",
    block: int = 64,
) -> dict[str, int]:
    """Labels all frames of a source that are not labeled yet, and writes the manifest.

    Args:
        model: Whatever `asap_tf.load` opens; on a cluster, at the same path everywhere.
        source: As of `Source`.
        out: Folder for the labels, new or begun by the same call; on a cluster, shared.
        plan: How the work is shared out; None is one worker with all cores.
        format: `"png"`, a file for each label map, or `"parquet"`, all of a block in its shard.
        block: Inputs that are done together: what a killed worker has to do again.

    Returns:
        Inputs by their state, `"labelled"` and `"failed"`.

    Raises:
        UsageError: for a wrong argument, or an `out` that was begun with another model, source,
            format or block, holds other files, or has another process labeling into it.
        Interrupted: on SIGINT or SIGTERM; the same call goes on.
        AsapError: if the model or the source is damaged, or the labels cannot be written.

    Example:
        >>> label("export/asap_int8.tflite", "frames.parquet:path", Path("labels"), Plan(workers=8))
        {'labelled': 9998, 'failed': 2}
    """
    plan = plan or Plan()
    if format not in FORMATS:
        raise UsageError(f"format '{format}': {nearest(format, FORMATS)}")
    if block < 1:
        raise UsageError(f"block={block}: at least 1 is needed")
    model = str(model) if preset_file(model) else os.path.abspath(model)
    frames = Source(source)
    wanted = Job(frames.name, frames.digest(), model_hash(model), format, block)
    folder = LabelFolder(Path(os.path.abspath(out)))
    if frames.kind == "folder" and folder.path.is_relative_to(frames.name):
        raise UsageError(f"{out}: lies in the folder that is to be labeled; give another --out")
    _require_same(folder, wanted)
    with folder.claimed():
        job = _require_same(folder, wanted)
        if job is None:
            inputs = frames.inputs()
            # An empty source is told before anything starts.
            inputs = chain([next(inputs)], inputs)
        if job is None or folder.pending(job).size:
            # Ray has a SIGTERM handler of its own: ours comes after it.
            with _ray(folder.path, plan) as ray, stop_on_signals() as stop:
                found = ray.cluster_resources().get("GPU", 0)
                if plan.cluster is None and plan.gpus > found:
                    raise AsapError(f"--gpus {plan.gpus:g}: Ray finds {found:g} on this machine")
                if job is None:
                    classes = _class_names(ray, model, plan, stop)
                    inputs = _listed(inputs, stop)
                    job = folder.begin(replace(wanted, classes=classes), inputs)
                _label_blocks(ray, folder, job, model, plan, stop)
        counts = folder.merge(job)
    if not counts["labelled"]:
        raise AsapError(f"none of the {job.count} inputs could be labeled; {folder.first_reason()}")
    return counts


def _require_same(folder: LabelFolder, wanted: Job) -> Job | None:
    """The job of a folder that is begun.

    Raises:
        UsageError: if it is not the one that is wanted now.
    """
    job = folder.job()
    if job is None:
        return None
    for field in ("model", "source", "format", "block", "digest"):
        before, now = getattr(job, field), getattr(wanted, field)
        if before != now:
            raise UsageError(
                f"{folder.path}: was begun with another source: {job.source} has changed since; "
                "give another --out"
                if field == "digest"
                else f"{folder.path}: was begun with another {field}, {before}, not {now}; "
                "give another --out"
            )
    return job


@contextlib.contextmanager
def _ray(folder: Path, plan: Plan) -> Iterator[Any]:
    """Ray, without a word of its own and without a network, as long as the context lasts.

    One that the caller has started is left running.
    """
    quiet = {
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_DATA_LOG_LEVEL": "CRITICAL",
        "RAY_BACKEND_LOG_LEVEL": "fatal",
        # It tells of every worker that dies; what was lost is done again.
        "RAY_DEDUP_LOGS_SKIP_REGEX": ".",
        "RAY_ROTATION_MAX_BYTES": str(10 * 2**20),
        "RAY_ROTATION_BACKUP_COUNT": "1",
    }
    if plan.cluster is None:
        # Its ports are for this machine alone.
        quiet["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
    for name, value in quiet.items():
        os.environ.setdefault(name, value)
    ray = require("ray", "ray")
    require("ray.data", "ray")
    if ray.is_initialized():
        yield ray
        return
    # Of the folder's own name: what a killed command leaves there goes with the next. Ray's
    # sockets bear no long names.
    name = hashlib.sha256(str(folder).encode()).hexdigest()[:8]
    temporary = Path(os.environ.get("RAY_TMPDIR", "/tmp"), f"asap-tf-ray-{name}")
    own = {
        "num_cpus": plan.workers * plan.cores,
        "include_dashboard": False,
        "object_store_memory": _STORE,
        "_temp_dir": str(temporary),
    }
    shutil.rmtree(temporary, ignore_errors=True)
    terminated = signal.getsignal(signal.SIGTERM)
    try:
        try:
            with stderr_silenced():
                ray.init(
                    address=plan.cluster or "local",
                    log_to_driver=False,
                    logging_level=logging.CRITICAL,
                    **({} if plan.cluster else own),
                )
        except (ConnectionError, RuntimeError, ValueError, OSError) as error:
            where = f"no Ray cluster answers at {plan.cluster}" if plan.cluster else "Ray fails"
            raise AsapError(f"{where}: {first_line(error)}") from error
        # Ray has a handler of its own, which it would leave behind.
        signal.signal(signal.SIGTERM, terminated)
        yield ray
    finally:
        ray.shutdown()
        shutil.rmtree(temporary, ignore_errors=True)


def _class_names(ray: Any, model: str, plan: Plan, stop: Stop) -> tuple[str, ...]:
    """The classes of a model, by a worker: this process keeps clear of its runtime."""
    task = ray.remote(num_cpus=plan.cores, num_gpus=plan.gpus, max_calls=1)(class_names)
    names = task.remote(model, plan.cores)
    while not ray.wait([names], timeout=0.2)[0]:
        if stop.requested:
            raise Interrupted("stopped before the first label", stop.requested)
    try:
        return ray.get(names)
    except ray.exceptions.RayTaskError as error:
        raise _own(error) from error


def _listed(inputs: Iterator[Input], stop: Stop) -> Iterator[Input]:
    """The inputs, counted on the terminal, until somebody asks for an end."""
    for found in tqdm(inputs, "listing", unit="input", disable=None, leave=False):
        if stop.requested:
            raise Interrupted("stopped before the first label", stop.requested)
        yield found


def _own(error: Exception) -> Exception:
    """An error of a worker as it was raised there, if it is meant for people."""
    cause = getattr(error, "cause", None)
    return cause if isinstance(cause, AsapError) else error


def _label_blocks(
    ray: Any, folder: LabelFolder, job: Job, model: str, plan: Plan, stop: Stop
) -> None:
    """Labels all blocks that are not done."""
    pending = folder.pending(job)
    tasks = min(len(pending), max(_TASKS, _TASKS_A_WORKER * plan.workers))
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.raise_original_map_exception = True
    results = ray.data.from_numpy(np.array_split(pending, tasks)).map_batches(
        LabelWorker,
        fn_constructor_args=(str(folder.path), model, plan.cores),
        batch_size=1,
        compute=ray.data.ActorPoolStrategy(size=min(plan.workers, tasks)),
        num_cpus=plan.cores,
        num_gpus=plan.gpus or None,
    )
    done = _done(job, pending)
    with tqdm(
        desc="labeling", total=job.count, initial=done, unit="frame", disable=None
    ) as progress:
        for row in _until(stop, results):
            progress.update(int(row["inputs"]))
    if stop.requested:
        done = _done(job, folder.pending(job))
        raise Interrupted(
            f"stopped with {done} of {job.count} inputs done; the same command goes on",
            stop.requested,
        )


def _done(job: Job, pending: np.ndarray) -> int:
    """Inputs of all blocks but the pending ones; the last block may be short."""
    return job.count - int(np.minimum(job.block, job.count - pending * job.block).sum())


def _until(stop: Stop, results: Any) -> Iterator[dict[str, Any]]:
    """The rows of a dataset as they come, until they end or somebody asks for an end."""
    rows: queue.Queue[Any] = queue.Queue(_AHEAD)

    def read() -> None:
        try:
            for row in results.iter_rows():
                rows.put(row)
                if stop.requested:
                    return
            rows.put(None)
        except Exception as error:
            rows.put(error)

    # Python waits for its threads, but not for daemons, and Ray's answer may never come.
    threading.Thread(target=read, daemon=True).start()
    while not stop.requested:
        try:
            row = rows.get(timeout=0.2)
        except queue.Empty:
            continue
        if row is None:
            return
        if isinstance(row, Exception):
            raise _own(row) from row
        yield row
