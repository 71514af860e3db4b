"""Prediction on a live stream, whose frames do not wait for the network."""

from __future__ import annotations

import contextlib
import os
import stat
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from asap_tf.core.errors import AsapError, UsageError, nearest
from asap_tf.core.progress import ProgressBar
from asap_tf.core.signals import stop_on_signals
from asap_tf.data.video_writer import png_folder, video_file
from asap_tf.inference.files import prepare
from asap_tf.inference.view import View

if TYPE_CHECKING:
    from asap_tf.runtime import Segmenter

# OpenCV 5 moved it.
_set_log_level = cv2.setLogLevel if hasattr(cv2, "setLogLevel") else cv2.utils.logging.setLogLevel
_LOG_ERRORS = 2

POLICIES = ("newest", "every")
_PATIENCE = 2.0
"""Seconds to wait for the reader at the end; that of a silent camera never returns."""


def is_stream(source: str) -> bool:
    """Whether an input is a stream: an address such as `rtsp://camera`, or a camera's device."""
    if "://" in source:
        return True
    path = Path(source)
    return path.exists() and stat.S_ISCHR(path.stat().st_mode)


@dataclass
class Count:
    """Numbers of labeled and of dropped frames of a stream."""

    labeled: int = 0
    dropped: int = 0


class Latest:
    """Buffer of one frame between a camera and a network; memory does not depend on their rates.

    Args:
        keep_all: Whether the camera waits until its last frame is taken. Otherwise a new frame
            replaces one that was not taken, which is counted as dropped.

    Attributes:
        dropped: Number of frames that were replaced.
        error: Error that ended the camera's side, if any.
    """

    def __init__(self, keep_all: bool):
        self.keep_all = keep_all
        self.dropped = 0
        self.error: Exception | None = None
        self._frame: np.ndarray | None = None
        self._ended = False
        self._changed = threading.Condition()

    def put(self, frame: np.ndarray) -> bool:
        """Stores a frame; returns whether more are wanted."""
        with self._changed:
            while self.keep_all and self._frame is not None and not self._ended:
                self._changed.wait()
            self.dropped += self._frame is not None
            self._frame = frame
            self._changed.notify_all()
            return not self._ended

    def end(self, error: Exception | None = None) -> None:
        """Ends both sides: no frame will come, or none is wanted any more."""
        with self._changed:
            self._ended = True
            self.error = self.error or error
            self._changed.notify_all()

    def take(self, seconds: float) -> np.ndarray | None:
        """Waits for a frame and removes it; None if none came in time.

        Args:
            seconds: Time to wait.

        Raises:
            EOFError: at the end of the stream.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._frame is not None or self._ended, seconds)
            frame, self._frame = self._frame, None
            if frame is None and self._ended:
                raise EOFError
            self._changed.notify_all()
            return frame


def predict_stream(
    segmenter: Segmenter,
    source: str,
    out: Path,
    mode: str = "overlay",
    policy: str = "newest",
    legend: bool = False,
    unknown_below: float | None = None,
) -> tuple[Path, Count]:
    """Labels a live stream until it ends, or until SIGINT or SIGTERM.

    Args:
        segmenter: Any artifact that `asap_tf.runtime.load` opens.
        source: Address or camera device, as `is_stream` recognizes it.
        out: Folder for the result, made if missing.
        mode: As of `View`, but none that is for images.
        policy: `"newest"` labels the latest frame of the camera, and drops and counts those that
            came meanwhile; `"every"` lets the source wait for the network.
        legend: Whether there is a legend, as of `predict_inputs`.
        unknown_below: As of `View`.

    Returns:
        The result, `live-TIME.mp4` (at the stream's own rate) or a folder of ids, and the count.

    Raises:
        UsageError: for an unknown policy or mode, or an `out` that cannot be written to.
        AsapError: if the stream cannot be read, or the result cannot be written.

    Examples:
        >>> predict_stream(load("export/asap_int8.tflite"), "rtsp://camera", Path("predictions"))
    """
    if policy not in POLICIES:
        raise UsageError(f"`policy` '{policy}': {nearest(policy, POLICIES)}")
    view = View(segmenter.classes, mode, legend, unknown_below=unknown_below)
    view.refuse_video(source)
    prepare(out)
    latest, count = Latest(policy == "every"), Count()
    name = f"live-{time.strftime('%Y%m%d-%H%M%S')}"
    with contextlib.ExitStack() as held, stop_on_signals() as stop:
        capture = held.enter_context(_opened(source))
        rate = capture.get(cv2.CAP_PROP_FPS)
        target = out / (name if view.is_numbers else f"{name}.mp4")
        reader = threading.Thread(target=_read, args=(held.pop_all(), capture, latest), daemon=True)
        reader.start()
        sink = png_folder(target) if view.is_numbers else video_file(target, rate)
        progress = ProgressBar(desc=source, unit="frame")
        try:
            with progress, sink as write:
                while not stop.requested:
                    try:
                        frame = latest.take(0.2)
                    except EOFError:
                        break
                    if frame is None:
                        continue
                    answer = view.answer(segmenter, frame)
                    write(view.picture(frame, answer, same_height=True))
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


@contextlib.contextmanager
def _opened(source: str) -> Iterator[cv2.VideoCapture]:
    """A stream's address, or a camera's device, open for reading.

    Raises:
        AsapError: if it cannot be opened.
    """
    # OpenCV and FFmpeg print pages about what they cannot read; the error raised here is enough.
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    log_level = _set_log_level(_LOG_ERRORS)
    capture = cv2.VideoCapture(source, cv2.CAP_FFMPEG if "://" in source else cv2.CAP_V4L2)
    _set_log_level(log_level)
    try:
        if not capture.isOpened():
            raise AsapError(f"{source}: no readable stream there")
        yield capture
    finally:
        capture.release()


def _read(held: contextlib.ExitStack, capture: cv2.VideoCapture, latest: Latest) -> None:
    # Released by the reading thread: another one would do it during the read of a silent camera.
    with held:
        try:
            while True:
                found, frame = capture.read()
                if not found or not latest.put(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)):
                    break
            latest.end()
        except Exception as error:
            latest.end(error)
