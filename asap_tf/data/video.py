"""Videos: opening them, and writing them whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np

from asap_tf.core.errors import AsapError
from asap_tf.core.files import written_whole
from asap_tf.data.images import BadFile, write_png

VIDEO_SUFFIXES = (".mp4", ".avi", ".mov", ".mkv")

DEFAULT_RATE = 25.0
"""Frames a second of a video that does not state them."""

LONGEST_SIDE = 8191
"""Pixels, of MPEG-4."""

Write = Callable[[np.ndarray], None]

# OpenCV 5 moved it.
_set_log_level = cv2.setLogLevel if hasattr(cv2, "setLogLevel") else cv2.utils.logging.setLogLevel
_LOG_ERRORS = 2


@contextmanager
def open_video(source: Path | str) -> Iterator[cv2.VideoCapture]:
    """A video, open for reading as long as the context lasts.

    Args:
        source: File as a `Path`; or address of a stream or device of a camera, as text.

    Raises:
        BadFile: if it cannot be opened.
    """
    # OpenCV and FFmpeg print pages about a damaged video; the errors raised here say what matters.
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    log_level = _set_log_level(_LOG_ERRORS)
    # Other backends would read a name such as frames_%03d.mp4 as a pattern.
    camera = not isinstance(source, Path) and "://" not in source
    capture = cv2.VideoCapture(str(source), cv2.CAP_V4L2 if camera else cv2.CAP_FFMPEG)
    _set_log_level(log_level)
    try:
        if not capture.isOpened():
            if isinstance(source, Path):
                raise BadFile(source, "not a readable video; it is damaged or of an unknown codec")
            raise AsapError(f"{source}: no readable stream there")
        yield capture
    finally:
        capture.release()


def _frame_count(path: Path) -> int:
    try:
        with open_video(path) as capture:
            return int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
    except AsapError:
        return 0


@contextmanager
def png_folder(target: Path) -> Iterator[Write]:
    """Writes images as `000000.png` and so on into a folder, which appears at the end.

    After an error nothing is left of it.

    Args:
        target: Folder that does not exist yet; its parent must.

    Yields:
        A function that writes an image, uint8 `(H, W)` or `(H, W, 3)` RGB.

    Raises:
        AsapError: if an image cannot be written.
    """
    count = 0
    with written_whole(target) as aside:
        aside.mkdir()

        def write(picture: np.ndarray) -> None:
            nonlocal count
            write_png(aside / f"{count:06d}.png", picture)
            count += 1

        yield write


@contextmanager
def video_file(target: Path, rate: float) -> Iterator[Write]:
    """Writes images into an MPEG-4 video, which appears at the end.

    After an error nothing is left of it.

    Args:
        target: File with the suffix `.mp4`, in a folder that exists.
        rate: Frames a second; `DEFAULT_RATE` if it is not above 0.

    Yields:
        A function that writes an image, uint8 `(H, W, 3)` RGB; all must have one size, of which
        the encoder drops an odd last row or column.

    Raises:
        AsapError: if the video cannot be written, or its images are too large for one.
    """
    video = cv2.VideoWriter()
    rate = rate if rate > 0 else DEFAULT_RATE
    count = 0
    with written_whole(target) as aside:

        def write(picture: np.ndarray) -> None:
            nonlocal count
            if count == 0:
                size = (picture.shape[1], picture.shape[0])
                if max(size) > LONGEST_SIDE:
                    raise AsapError(
                        f"{target}: frames of {size[0]} x {size[1]} pixels are too large for "
                        f"MPEG-4, which takes {LONGEST_SIDE} at most along a side; scale them down"
                    )
                video.open(str(aside), cv2.VideoWriter.fourcc(*"mp4v"), rate, size)
            video.write(cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
            count += 1

        try:
            yield write
        finally:
            video.release()
        # On a full disk the writer does not fail, but leaves a file without the last frames.
        if _frame_count(aside) != count:
            raise AsapError(f"{target}: cannot be written whole; is the disk full?")
