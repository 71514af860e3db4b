"""A worker process: opens the model once, then labels block after block."""

from __future__ import annotations

import contextlib
import time
import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from asap_tf.core.ahead import map_ahead
from asap_tf.core.errors import AsapError, first_line
from asap_tf.core.keras_backend import uses_tensorflow
from asap_tf.core.optional import require
from asap_tf.data.frames import Frame, read_frame
from asap_tf.data.images import BadFile
from asap_tf.data.video import open_video
from asap_tf.labelling.folder import LabelFolder
from asap_tf.labelling.source import Input, scheme_problem
from asap_tf.runtime import Segmenter, format_of, load
from asap_tf.saving import fingerprint, model_file

fsspec = require("fsspec", "ray")

_READERS = 8
"""Threads that read ahead: a remote store answers late, but many requests at once."""

_LARGEST_FRAME = 1 << 28
"""Bytes: 64 million pixels uncompressed are less."""

_PAUSES = (1.0, 5.0)
"""Seconds before the second and the third try to get a file from a store."""


def model_hash(model: str) -> str:
    """SHA-256 of a preset, a run's model, a `.keras` file or an artifact."""
    return fingerprint(model_file(model) if format_of(model) == "keras" else Path(model))


def class_names(model: str, threads: int, trust: bool = False) -> tuple[str, ...]:
    """Names of a model's classes; opens the model.

    Raises:
        AsapError: if it cannot be opened.
    """
    return tuple(c.name for c in open_model(model, threads, trust).classes)


def open_model(model: str, threads: int, trust: bool = False) -> Segmenter:
    """Opens a model to run with a number of threads, where its runtime lets one choose."""
    can_choose = format_of(model) != "keras" or uses_tensorflow()
    return load(model, threads if can_choose else None, trust)


class LabelWorker:
    """A Ray actor: takes blocks, returns how many inputs of each were done.

    Its `Labeler` is opened with the first block, since Ray hides the error of a constructor.
    """

    def __init__(self, *arguments: Any):
        self._arguments = arguments
        self._labeler: Labeler | None = None

    def __call__(self, batch: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Labels the blocks of `batch["data"]`; returns the inputs of each as `"inputs"`."""
        if self._labeler is None:
            self._labeler = Labeler(*self._arguments)
        done = [self._labeler.label(int(block)) for block in batch["data"]]
        return {"inputs": np.array(done)}


class Labeler:
    """An open model and the folder that its labels are written to.

    Args:
        folder: Folder of the labels.
        model: Path or name of the model, the same on every machine.
        threads: Processor threads of the model.
        trust: As of `asap_tf.load`.

    Raises:
        AsapError: if the model cannot be opened, or is not the one that the folder was started
            with.
    """

    def __init__(self, folder: str, model: str, threads: int, trust: bool = False):
        cv2.setNumThreads(threads)
        self.name = uuid.uuid4().hex
        self.folder = LabelFolder(Path(folder))
        job = self.folder.job()
        if job is None:
            raise AsapError(f"{folder}: not visible from this machine; it has to be shared")
        self.job = job
        self.segmenter = open_model(model, threads, trust)
        if model_hash(model) != job.model:
            raise AsapError(f"{model}: not the model that {folder} was started with")
        self.batch = self.segmenter.network.batch or 1
        self.video = _Video()

    def label(self, block: int) -> int:
        """Labels one block, unless it is done already; returns the number of its inputs.

        Raises:
            AsapError: if the labels cannot be written.
        """
        inputs = self.folder.inputs(block)
        if not self.folder.shard(block).exists():
            mark = self.folder.mark_started(block)
            # A video can only be read in order.
            threads = _READERS if inputs[0].frame is None else 1
            with (
                map_ahead(self.read, inputs, threads, _READERS) as frames,
                map_ahead(self._row, self._labeled(block, inputs, frames), threads) as found,
            ):
                rows = sorted(found, key=lambda row: row["number"])
            self.folder.commit(self.job, block, rows, self.name)
            mark.unlink(missing_ok=True)
        return len(inputs)

    def read(self, wanted: Input) -> Frame | str:
        """A frame, or the reason why there is none.

        Raises:
            AsapError: if a package for the store is missing.
        """
        path, frame = wanted
        if path is None:
            return "no path given"
        try:
            if frame is not None:
                return Frame(self.video.frame(Path(path), frame), None)
            return read_frame(Path(path), _fetch(path) if "://" in path else None)
        except BadFile as error:
            return error.problem
        except ImportError as error:
            raise AsapError(f"{path}: {first_line(error)}") from error
        except Exception as error:
            # Every store has errors of its own, and some names are impossible.
            return f"cannot be read ({first_line(error)})"

    def _labeled(
        self, block: int, inputs: Iterable[Input], frames: Iterator[Frame | str]
    ) -> Iterator[tuple[int, Input, np.ndarray | None, str | None]]:
        """Inputs by their number, with labels and the remark, or without and the reason.

        Consecutive frames of one size are batched as the network wants them.
        """
        batch: list[tuple[int, Input, Frame]] = []
        numbered = enumerate(zip(inputs, frames, strict=True), block * self.job.block)
        for number, (wanted, frame) in numbered:
            if isinstance(frame, str):
                yield number, wanted, None, frame
                continue
            size = frame.pixels.shape
            if batch and (len(batch) == self.batch or batch[0][2].pixels.shape != size):
                yield from self._predicted(batch)
                batch = []
            batch.append((number, wanted, frame))
        if batch:
            yield from self._predicted(batch)

    def _predicted(
        self, batch: list[tuple[int, Input, Frame]]
    ) -> Iterator[tuple[int, Input, np.ndarray, str | None]]:
        labels = self.segmenter.predict(np.stack([frame.pixels for *_, frame in batch]))
        for (number, wanted, frame), found in zip(batch, labels, strict=True):
            yield number, wanted, found, frame.remark

    def _row(self, item: tuple[int, Input, np.ndarray | None, str | None]) -> dict[str, Any]:
        """The shard's row of an input; writes the label map, unless the row holds it."""
        number, (path, frame), labels, reason = item
        row: dict[str, Any] = {"number": number, "path": path, "frame": frame, "reason": reason}
        row["model"] = self.job.model
        if labels is None:
            return {**row, "state": "failed"}
        counts = np.bincount(labels.ravel(), minlength=len(self.job.classes))
        png = cv2.imencode(".png", labels)[1].tobytes()
        row |= {
            "state": "labelled",
            "height": labels.shape[0],
            "width": labels.shape[1],
            "share": counts / labels.size,
        }
        block = number // self.job.block
        if self.job.format == "parquet":
            file = self.folder.shard(block)
            row["labels"] = png
        else:
            file = self.folder.label_map_file(block, number, path or "")
            self.folder.put(file, png, self.name)
        return {**row, "file": file.relative_to(self.folder.path).as_posix()}


class _Video:
    """A video that is read forwards; frames of other workers' blocks are skipped."""

    def __init__(self) -> None:
        self._held = contextlib.ExitStack()
        self._path: Path | None = None
        self._next = 0

    def frame(self, path: Path, number: int) -> np.ndarray:
        if path != self._path or number < self._next:
            self._held.close()
            self._video = self._held.enter_context(open_video(path))
            self._frames = enumerate(self._video.decoded())
            self._path, self._next = path, 0
        self._next = number + 1
        for index, frame in self._frames:
            if index == number:
                return self._video.upright(frame)
        raise BadFile(path, f"frame {number} cannot be decoded")


def _fetch(uri: str) -> bytes:
    """Content of a URI; a store that fails for the moment is asked again.

    Raises:
        ValueError: if it is too large, or of a scheme that is not opened.
    """
    if problem := scheme_problem(uri):
        raise ValueError(problem)
    for pause in (*_PAUSES, None):
        try:
            with fsspec.open(uri, "rb") as file:
                content = file.read(_LARGEST_FRAME + 1)
                if len(content) > _LARGEST_FRAME:
                    raise ValueError(f"larger than {_LARGEST_FRAME >> 20} MB")
                return content
        except Exception as error:
            if pause is None or is_final(error):
                raise
            time.sleep(pause)
    raise AssertionError


def is_final(error: Exception) -> bool:
    """Whether an error of a store will stay the same at the next try.

    fsspec's HTTP client raises FileNotFoundError for every failure; the real one is its cause.
    """
    if isinstance(error, (PermissionError, ImportError, ValueError)):
        return True
    status = getattr(error.__cause__ or error, "status", None)
    if status is not None:
        return 400 <= status < 500
    return isinstance(error, FileNotFoundError) and error.__cause__ is None
