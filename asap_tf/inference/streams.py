"""Prediction on a live stream, which does not wait for the network."""

from __future__ import annotations

import contextlib
import stat
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
from tqdm import tqdm

from asap_tf.core.errors import AsapError, UsageError, nearest
from asap_tf.core.signals import stop_on_signals
from asap_tf.data.video import open_video, png_folder, video_file
from asap_tf.inference.files import picture, prepare

if TYPE_CHECKING:
    from asap_tf.runtime import Segmenter

POLICIES = ("newest", "every")
_PATIENCE = 2.0
"""Seconds that a reader gets to end once it has been asked to; a silent camera never does."""


def is_stream(source: str) -> bool:
    """Whether an input is a stream: an address such as `rtsp://camera`, or a camera's device."""
    if "://" in source:
        return True
    path = Path(source)
    return path.exists() and stat.S_ISCHR(path.stat().st_mode)


@dataclass
class Count:
    """Frames of a stream: those that were labeled, and those that nobody had time for."""

    labeled: int = 0
    dropped: int = 0


class Latest:
    """One frame between a camera and a network: memory is the same whatever the rates.

    Args:
        keep_all: Whether the camera has to wait until its last frame is taken. Otherwise a new
            frame takes the place of one that was not taken, and the loss is counted.
    """

    def __init__(self, keep_all: bool):
        self.keep_all = keep_all
        self.dropped = 0
        self.error: Exception | None = None
        self._frame: np.ndarray | None = None
        self._ended = False
        self._changed = threading.Condition()

    def put(self, frame: np.ndarray) -> bool:
        """Offers a frame; returns whether any more are wanted."""
        with self._changed:
            while self.keep_all and self._frame is not None and not self._ended:
                self._changed.wait()
            self.dropped += self._frame is not None
            self._frame = frame
            self._changed.notify_all()
            return not self._ended

    def end(self, error: Exception | None = None) -> None:
        """Says that no frame is to come, or none is wanted any more."""
        with self._changed:
            self._ended = True
            self.error = self.error or error
            self._changed.notify_all()

    def take(self, seconds: float) -> np.ndarray | None:
        """The frame, once there is one; None if none came in time.

        Raises:
            EOFError: if none will.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._frame is not None or self._ended, seconds)
            frame, self._frame = self._frame, None
            if frame is None and self._ended:
                raise EOFError
            self._changed.notify_all()
            return frame


def predict_stream(
    segmenter: Segmenter, source: str, out: Path, mode: str = "overlay", policy: str = "newest"
) -> tuple[Path, Count]:
    """Labels a live stream until it ends, or SIGINT or SIGTERM asks for an end.

    Args:
        segmenter: Any artifact that `asap_tf.runtime.load` opens.
        source: What `is_stream` takes for one.
        out: Folder for the result, made if missing.
        mode: As of `predict_inputs`.
        policy: `"newest"`: after each frame the one that the camera has just given, those in
            between are dropped and counted; `"every"`: the source has to wait for the network.

    Returns:
        The result, `live-TIME.mp4` (at the stream's own rate) or a folder of ids, and the count.

    Raises:
        UsageError: for an unknown policy, or an `out` that cannot be written to.
        AsapError: if the stream cannot be read, or the result not be written.

    Example:
        >>> predict_stream(load("export/asap_int8.tflite"), "rtsp://camera", Path("predictions"))
    """
    if policy not in POLICIES:
        raise UsageError(f"policy '{policy}': {nearest(policy, POLICIES)}")
    prepare(out)
    latest, count = Latest(policy == "every"), Count()
    name = f"live-{time.strftime('%Y%m%d-%H%M%S')}"
    with contextlib.ExitStack() as held, stop_on_signals() as stop:
        capture = held.enter_context(open_video(source))
        rate = capture.get(cv2.CAP_PROP_FPS)
        target = out / (name if mode == "ids" else f"{name}.mp4")
        reader = threading.Thread(target=_read, args=(held.pop_all(), capture, latest), daemon=True)
        reader.start()
        sink = png_folder(target) if mode == "ids" else video_file(target, rate)
        progress = tqdm(desc=source, unit="frame", disable=None)
        try:
            with progress, sink as write:
                while not stop.requested:
                    try:
                        frame = latest.take(0.2)
                    except EOFError:
                        break
                    if frame is None:
                        continue
                    labels = segmenter.predict(frame[np.newaxis])[0]
                    write(picture(frame, labels, segmenter.palette, mode))
                    count.labeled += 1
                    count.dropped = latest.dropped
                    progress.set_postfix_str(f"dropped {count.dropped}")
                    progress.update()
                if latest.error is not None:
                    raise latest.error
                if count.labeled == 0:
                    raise AsapError(f"{source}: ended before its first frame")
        finally:
            latest.end()
            reader.join(_PATIENCE)
    return target, count


def _read(held: contextlib.ExitStack, capture: cv2.VideoCapture, latest: Latest) -> None:
    # Who reads also releases: elsewhere, it would be under the read of a camera that is silent.
    with held:
        try:
            while True:
                found, frame = capture.read()
                if not found or not latest.put(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)):
                    break
            latest.end()
        except Exception as error:
            latest.end(error)
