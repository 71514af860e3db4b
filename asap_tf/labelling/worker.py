"""What each worker does: it opens the model once, and labels block after block."""

from __future__ import annotations

import time
import uuid
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import cv2
import numpy as np

from asap_tf.core import keras_backend as tensorflow
from asap_tf.core.errors import AsapError, first_line
from asap_tf.core.optional import require
from asap_tf.data.images import BadFile, read_image
from asap_tf.data.video import open_video
from asap_tf.labelling.folder import LabelFolder
from asap_tf.labelling.source import Input
from asap_tf.runtime import FixedNetwork, Segmenter, format_of, load
from asap_tf.saving.keras_file import model_file
from asap_tf.saving.metadata import fingerprint

fsspec = require("fsspec", "ray")

_READERS = 8
"""Frames read ahead: a store far away answers late, but answers many at once."""

_PAUSES = (1.0, 5.0)
"""Seconds before the second and the third try to get a file from a store."""

Item = TypeVar("Item")
Result = TypeVar("Result")


def model_hash(model: str) -> str:
    """SHA-256 of a model: a preset's name, a run, a `.keras` file or an artifact."""
    return fingerprint(model_file(model) if format_of(model) == "keras" else Path(model))


def class_names(model: str, threads: int) -> tuple[str, ...]:
    """The classes of a model, which has to open."""
    return tuple(c.name for c in opened(model, threads).classes)


def opened(model: str, threads: int) -> Segmenter:
    """A model that runs in so many threads, where they can be told."""
    told = format_of(model) != "keras" or tensorflow.is_backend()
    return load(model, threads if told else None)


class LabelWorker:
    """What Ray runs: blocks in, how many of their inputs were done out.

    Its `Labeler` is opened with the first block: of what a constructor raises, Ray only tells that
    it did.
    """

    def __init__(self, *arguments: Any):
        self._arguments = arguments
        self._labeler: Labeler | None = None

    def __call__(self, batch: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Labels the blocks of `batch["data"]`; gives the inputs of each as `"inputs"`."""
        if self._labeler is None:
            self._labeler = Labeler(*self._arguments)
        done = [self._labeler.label(int(block)) for block in batch["data"]]
        return {"inputs": np.array(done)}


class Labeler:
    """An open model, and the folder that its labels go to.

    Args:
        folder: Of the labels.
        model: Its path or name, the same on every machine.
        threads: Processor threads to run it with.

    Raises:
        AsapError: if the model cannot be opened, or is not the one that the folder was begun with.
    """

    def __init__(self, folder: str, model: str, threads: int):
        cv2.setNumThreads(threads)
        self.name = uuid.uuid4().hex
        self.folder = LabelFolder(Path(folder))
        job = self.folder.job()
        if job is None:
            raise AsapError(f"{folder}: not to be seen from this machine; it has to be shared")
        self.job = job
        self.segmenter = opened(model, threads)
        if model_hash(model) != job.model:
            raise AsapError(f"{model}: not the model that {folder} was begun with")
        network = self.segmenter.network
        self.batch = network.batch if isinstance(network, FixedNetwork) else 1
        self.video = _Video()

    def label(self, block: int) -> int:
        """Labels one block, unless it is done: a worker that was lost may have got so far."""
        inputs = self.folder.inputs(block)
        if not self.folder.shard(block).exists():
            note = self.folder.begin_block(block)
            # A video can only be read in order.
            in_video = inputs[0].frame is not None
            with ThreadPoolExecutor(1 if in_video else _READERS) as pool:
                frames = _ahead(pool, self.read, inputs)
                rows = list(_ahead(pool, self._row(block), self._labeled(inputs, frames)))
            rows.sort(key=lambda row: row["number"])
            self.folder.commit(self.job, block, rows, self.name)
            note.unlink(missing_ok=True)
        return len(inputs)

    def read(self, wanted: Input) -> np.ndarray | str:
        """A frame, uint8 `(H, W, 3)` RGB, or why there is none."""
        path, frame = wanted
        if path is None:
            return "no path given"
        try:
            if frame is not None:
                return self.video.frame(Path(path), frame)
            return read_image(Path(path), _fetched(path) if "://" in path else None)
        except BadFile as error:
            return error.problem
        except ImportError as error:
            raise AsapError(f"{path}: {first_line(error)}") from error
        except Exception as error:
            # Stores, and names that no file can have, fail in ways of their own.
            return f"cannot be read ({first_line(error)})"

    def _labeled(
        self, inputs: Iterable[Input], frames: Iterator[np.ndarray | str]
    ) -> Iterator[tuple[int, Input, np.ndarray | str]]:
        """Inputs by their place in the block, with labels or the reason why there are none.

        Frames of one size that follow each other go through the network in its own batches; what
        has no frame is not kept waiting.
        """
        batch: list[tuple[int, Input, np.ndarray]] = []
        for place, (wanted, frame) in enumerate(zip(inputs, frames, strict=True)):
            if isinstance(frame, str):
                yield place, wanted, frame
                continue
            if batch and (len(batch) == self.batch or batch[0][2].shape != frame.shape):
                yield from self._predicted(batch)
                batch = []
            batch.append((place, wanted, frame))
        if batch:
            yield from self._predicted(batch)

    def _predicted(
        self, batch: list[tuple[int, Input, np.ndarray]]
    ) -> Iterator[tuple[int, Input, np.ndarray]]:
        labels = self.segmenter.predict(np.stack([frame for *_, frame in batch]))
        for (place, wanted, _), found in zip(batch, labels, strict=True):
            yield place, wanted, found

    def _row(self, block: int) -> Callable[[tuple[int, Input, np.ndarray | str]], dict[str, Any]]:
        def row(item: tuple[int, Input, np.ndarray | str]) -> dict[str, Any]:
            """What the shard says of an input, whose label map is written where it has a file."""
            place, (path, frame), labels = item
            number = block * self.job.block + place
            entry: dict[str, Any] = {
                "number": number,
                "path": path,
                "frame": frame,
                "model": self.job.model,
            }
            if isinstance(labels, str):
                return {**entry, "state": "failed", "reason": labels}
            counts = np.bincount(labels.ravel(), minlength=len(self.job.classes))
            png = cv2.imencode(".png", labels)[1].tobytes()
            entry |= {
                "state": "labelled",
                "height": labels.shape[0],
                "width": labels.shape[1],
                "share": counts / labels.size,
            }
            file = self.folder.shard(block)
            if self.job.format == "parquet":
                entry["labels"] = png
            else:
                file = self.folder.picture(block, number, path or "")
                self.folder.put(file, png, self.name)
            return {**entry, "file": file.relative_to(self.folder.path).as_posix()}

        return row


class _Video:
    """A video that is read onwards; the frames that other workers label are passed over."""

    def __init__(self) -> None:
        self._stack: Any = None
        self._next = 0

    def frame(self, path: Path, number: int) -> np.ndarray:
        if self._stack is None or number < self._next:
            stack = open_video(path)
            self._capture, self._stack, self._next = stack.__enter__(), stack, 0
        while self._next < number and self._capture.grab():
            self._next += 1
        grabbed = self._capture.grab()
        self._next += grabbed
        found, frame = self._capture.retrieve()
        if not grabbed or not found:
            raise BadFile(path, f"frame {number} cannot be decoded")
        return cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)


def _fetched(uri: str) -> bytes:
    """What a URI stands for; a store that hesitates is asked again."""
    for pause in (*_PAUSES, None):
        try:
            with fsspec.open(uri, "rb") as file:
                return file.read()
        except Exception as error:
            if pause is None or is_final(error):
                raise
            time.sleep(pause)
    raise AssertionError


def is_final(error: Exception) -> bool:
    """Whether asking a store again will not help.

    Its HTTP client says of all that goes wrong that there is no such file, and why in the cause.
    """
    if isinstance(error, (PermissionError, ImportError, ValueError)):
        return True
    status = getattr(error.__cause__ or error, "status", None)
    if status is not None:
        return 400 <= status < 500
    return isinstance(error, FileNotFoundError) and error.__cause__ is None


def _ahead(
    pool: ThreadPoolExecutor, function: Callable[[Item], Result], items: Iterable[Item]
) -> Iterator[Result]:
    """As `map`, by the pool's threads, never more than `_READERS` items ahead."""
    waiting: deque[Future[Result]] = deque()
    for item in items:
        waiting.append(pool.submit(function, item))
        if len(waiting) > _READERS:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()
