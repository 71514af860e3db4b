"""Ray: a session on this machine or a cluster, and its results as they come."""

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
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from asap_tf.core.children import safe_path
from asap_tf.core.errors import AsapError, UsageError, first_line
from asap_tf.core.optional import require
from asap_tf.core.signals import Stop
from asap_tf.core.system import available_cores, stderr_silenced

_ROWS_WAITING = 1000
"""Results of workers that may wait to be counted."""

_OBJECT_STORE = 100 * 2**20
"""Bytes of Ray's object store. Frames and labels never go through it."""


@dataclass(frozen=True)
class Resources:
    """Processes that share the work, and the hardware of each.

    Attributes:
        workers: Number of processes, each with the model open.
        threads: Processor threads of each; None shares this machine's cores among them, and is 1
            on a cluster.
        gpus: GPUs of each; may be a fraction of one.
        cluster: Address of a Ray cluster; None starts Ray on this machine, for this call only.
    """

    workers: int = 1
    threads: int | None = None
    gpus: float = 0.0
    cluster: str | None = None

    def __post_init__(self) -> None:
        for name, value in (("workers", self.workers), ("threads", self.threads)):
            if value is not None and value < 1:
                raise UsageError(f"`{name}` {value}: at least 1 is needed")
        if self.gpus < 0:
            raise UsageError(f"`gpus` {self.gpus}: cannot be below 0")

    @property
    def cores(self) -> int:
        """Processor cores of each worker."""
        shared = 1 if self.cluster else max(1, available_cores() // self.workers)
        return self.threads or shared


@contextlib.contextmanager
def ray_session(folder: Path, resources: Resources) -> Iterator[Any]:
    """Ray, silent and off the network, for as long as the context lasts.

    A session that the caller has started is used, and left running.

    Args:
        folder: Folder of the labels; names Ray's temporary files, so that those of a killed
            command are removed by the next one.
        resources: Cores to start Ray with, or the cluster to connect to.

    Yields:
        The module `ray`.

    Raises:
        AsapError: if Ray is not installed, does not start, or the cluster does not answer.
    """
    environment = {
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_DATA_LOG_LEVEL": "CRITICAL",
        "RAY_BACKEND_LOG_LEVEL": "fatal",
        # It reports every worker that dies; what was lost is done again.
        "RAY_DEDUP_LOGS_SKIP_REGEX": ".",
        "RAY_ROTATION_MAX_BYTES": str(10 * 2**20),
        "RAY_ROTATION_BACKUP_COUNT": "1",
    }
    if resources.cluster is None:
        # Its ports are for this machine alone.
        environment["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
    for name, value in environment.items():
        os.environ.setdefault(name, value)
    ray = require("ray", "ray")
    require("ray.data", "ray")
    if ray.is_initialized():
        yield ray
        return
    handler = signal.getsignal(signal.SIGTERM)
    with _private_folder(folder) as private:
        local = {
            "num_cpus": resources.workers * resources.cores,
            "include_dashboard": False,
            "object_store_memory": _OBJECT_STORE,
            "_temp_dir": str(private / "r"),
        }
        # Workers import from the folder that Ray is started in: on this machine they find an empty
        # one, on others of a cluster the root, where strangers cannot write.
        empty = private / "empty"
        empty.mkdir()
        start = Path(os.sep) if resources.cluster else empty
        try:
            try:
                with stderr_silenced(), safe_path(), contextlib.chdir(start):
                    ray.init(
                        address=resources.cluster or "local",
                        log_to_driver=False,
                        logging_level=logging.CRITICAL,
                        **({} if resources.cluster else local),
                    )
            except (ConnectionError, RuntimeError, ValueError, OSError) as error:
                where = resources.cluster
                problem = f"no Ray cluster answers at {where}" if where else "Ray does not start"
                raise AsapError(f"{problem}: {first_line(error)}") from error
            # Ray sets a handler and does not remove it.
            signal.signal(signal.SIGTERM, handler)
            yield ray
        finally:
            ray.shutdown()


@contextlib.contextmanager
def _private_folder(folder: Path) -> Iterator[Path]:
    """A new temporary folder that only this user can enter: Ray opens its own to everybody.

    It is named after the folder of the labels, so that the next command removes what a killed one
    has left. The name is short, as paths of sockets must be.
    """
    name = hashlib.sha256(str(folder).encode()).hexdigest()[:8]
    private = Path(os.environ.get("RAY_TMPDIR", "/tmp"), f"asap-tf-ray-{name}").absolute()
    shutil.rmtree(private, ignore_errors=True)
    try:
        private.mkdir(0o700)
    except OSError as error:
        raise AsapError(
            f"{private}: cannot be made ({error.strerror}); remove it, or name another folder by "
            "the variable RAY_TMPDIR"
        ) from error
    try:
        yield private
    finally:
        shutil.rmtree(private, ignore_errors=True)


def rows_until_stopped(results: Any, stop: Stop) -> Iterator[dict[str, Any]]:
    """Rows of a Ray dataset as they come, until they end or a stop is requested.

    Args:
        results: Dataset, or anything with `iter_rows`.
        stop: Watched even while no row comes.

    Raises:
        AsapError: as a worker raised it.
    """
    rows: queue.Queue[Any] = queue.Queue(_ROWS_WAITING)

    def read() -> None:
        try:
            for row in results.iter_rows():
                rows.put(row)
                if stop.requested:
                    return
            rows.put(None)
        except Exception as error:
            rows.put(error)

    # A daemon: Python waits for other threads at its end, and Ray's answer may never come.
    threading.Thread(target=read, daemon=True).start()
    while not stop.requested:
        try:
            row = rows.get(timeout=0.2)
        except queue.Empty:
            continue
        if row is None:
            return
        if isinstance(row, Exception):
            raise worker_error(row) from row
        yield row


def worker_error(error: Exception) -> Exception:
    """The error that a worker raised, out of Ray's own, if it is meant for people."""
    cause = getattr(error, "cause", None)
    return cause if isinstance(cause, AsapError) else error
