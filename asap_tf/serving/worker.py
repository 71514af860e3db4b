"""The thread that labels: frames that wait together go through the network together."""

from __future__ import annotations

import threading
import time
from collections import deque
from concurrent.futures import Future
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from asap_tf.runtime import Segmenter

_MOST = 8
"""Frames to a call of a network that takes any number."""

_MOST_PIXELS = 2_100_000
"""Pixels of all of them at the network's size: as many as a whole frame of Cityscapes."""


class Labeled(NamedTuple):
    """What was found in the frames of one job.

    Attributes:
        labels: Train ids, uint8 `(N, H, W)`.
        seconds: What the call took that labeled them, with whatever shared it.
    """

    labels: np.ndarray
    seconds: float


class _Job(NamedTuple):
    frames: np.ndarray
    future: Future[Labeled]


class Worker:
    """One thread that labels frames in the order in which they come.

    Those of one size that wait while it is busy share a call, as many as the network takes in one.

    Args:
        segmenter: What labels.
    """

    def __init__(self, segmenter: Segmenter) -> None:
        self._segmenter = segmenter
        self._waiting: deque[_Job] = deque()
        self._changed = threading.Condition()
        self._ends = False
        self._thread = threading.Thread(target=self._run, name="labels", daemon=True)
        self._thread.start()

    def submit(self, frames: np.ndarray) -> Future[Labeled]:
        """Asks for labels.

        Args:
            frames: RGB, uint8 `(N, H, W, 3)`.

        Returns:
            Their labels to come. Canceled before its turn, a job takes no time.
        """
        future: Future[Labeled] = Future()
        with self._changed:
            self._waiting.append(_Job(frames, future))
            self._changed.notify()
        return future

    def close(self) -> None:
        """Labels what waits, and ends the thread."""
        with self._changed:
            self._ends = True
            self._changed.notify()
        self._thread.join()

    def _run(self) -> None:
        while jobs := self._next():
            try:
                start = time.perf_counter()
                labels = self._labels([job.frames for job in jobs])
                seconds = time.perf_counter() - start
            except Exception as error:
                for job in jobs:
                    job.future.set_exception(error)
                continue
            first = 0
            for job in jobs:
                count = len(job.frames)
                job.future.set_result(Labeled(labels[first : first + count], seconds))
                first += count

    def _labels(self, parts: list[np.ndarray]) -> np.ndarray:
        """Labels of frames of one size, in as many calls as they need."""
        frames = parts[0] if len(parts) == 1 else np.concatenate(parts)
        labels = np.empty(frames.shape[:3], np.uint8)
        most = self._most(frames.shape)
        for start in range(0, len(frames), most):
            chosen = slice(start, start + most)
            self._segmenter.predict(frames[chosen], labels[chosen])
        return labels

    def _most(self, shape: tuple[int, ...]) -> int:
        """Frames of a shape, `(N, H, W, 3)`, to a call."""
        if self._segmenter.network.batch:
            return self._segmenter.network.batch
        height, width = self._segmenter.network_size((shape[1], shape[2]))
        return max(1, min(_MOST, _MOST_PIXELS // (height * width)))

    def _next(self) -> list[_Job]:
        """The jobs of one call, once there are any; none at the end."""
        with self._changed:
            while True:
                self._changed.wait_for(lambda: self._waiting or self._ends)
                if not self._waiting:
                    return []
                if jobs := self._together():
                    return jobs

    def _together(self) -> list[_Job]:
        """Takes the first job, and those of its size that fit into the same call."""
        jobs: list[_Job] = []
        others: list[_Job] = []
        room = 0
        while self._waiting:
            job = self._waiting.popleft()
            count, shape = len(job.frames), job.frames.shape
            if jobs and (count > room or shape[1:] != jobs[0].frames.shape[1:]):
                others.append(job)
            elif job.future.set_running_or_notify_cancel():
                room = (room if jobs else self._most(shape)) - count
                jobs.append(job)
        self._waiting.extend(others)
        return jobs
