"""Prediction on a video: a video of what a network sees, or a folder of its numbers."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from asap_tf.core.ahead import map_ahead
from asap_tf.core.errors import shown
from asap_tf.core.progress import ProgressBar
from asap_tf.core.signals import Stop
from asap_tf.data.images import BadFile
from asap_tf.data.video import VideoFrame, open_video
from asap_tf.data.video_writer import png_folder, video_file, written_frames
from asap_tf.inference.inputs import InputFile
from asap_tf.inference.view import View

if TYPE_CHECKING:
    from asap_tf.runtime import Segmenter

_LOGGER = logging.getLogger("asap_tf")

NO_FRAME = "a video without a single readable frame"


def predict_video(
    segmenter: Segmenter, source: InputFile, view: View, stop: Stop, resume: bool = False
) -> None:
    """Writes what is found in a video; arguments as of `predict_inputs`.

    Raises:
        BadFile: if it cannot be opened, or has no frame that can be decoded.
        AsapError: if the result cannot be written, or cannot be added to.
        Interrupted: if a stop was requested; the result holds the frames labeled by then.
    """
    before = done = written_frames(source.target) if resume else 0

    def read(number: int) -> VideoFrame | None:
        return next(frames, None)

    def predict(frame: VideoFrame) -> tuple[VideoFrame, np.ndarray]:
        return frame, view.answer(segmenter, frame.pixels)

    def write(item: tuple[VideoFrame, np.ndarray]) -> None:
        nonlocal done
        (pixels, seconds), answer = item
        write_picture(view.picture(pixels, answer, same_height=True), seconds)
        done += 1

    with open_video(source.path) as video:
        frames = video.frames(skip=before)
        first = next(frames, None)
        if first is None:
            if before:
                return
            raise BadFile(source.path, NO_FRAME)
        frames = itertools.chain([first], frames)
        if view.is_numbers:
            sink = png_folder(source.target, before)
        else:
            sink = video_file(source.target, video.rate, video, before > 0)
        name, total = shown(source.path.name), video.claimed or None
        with (
            sink as write_picture,
            map_ahead(read, itertools.count()) as found,
            map_ahead(write, map(predict, _until_none(found))) as written,
        ):
            for _ in ProgressBar(written, name, total, unit="frame", initial=before):
                if stop.requested:
                    break
        stop.check(
            f"{done} frames of {source.path} are labeled, in {source.target}; `resume` goes on"
        )
        if video.damaged:
            _LOGGER.warning("%s: damaged; %d frames could be decoded", shown(source.path), done)
        # Of many containers the number is an estimate.
        elif done < 0.95 * video.claimed - 5:
            _LOGGER.warning(
                "%s: has %d frames, though it claims %d", shown(source.path), done, video.claimed
            )


def _until_none(found: Iterator[VideoFrame | None]) -> Iterator[VideoFrame]:
    for frame in found:
        if frame is None:
            return
        yield frame
