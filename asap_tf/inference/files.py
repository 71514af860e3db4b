"""Prediction on a user's own images and videos: pictures, or numbers, of what a network sees."""

from __future__ import annotations

import contextlib
import logging
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from asap_tf.core.ahead import map_ahead
from asap_tf.core.errors import AsapError, UsageError, shown
from asap_tf.core.files import remove_leftovers
from asap_tf.core.progress import ProgressBar
from asap_tf.core.signals import Stop
from asap_tf.core.system import available_cores
from asap_tf.data.frames import frame_size, read_frame
from asap_tf.data.images import BadFile
from asap_tf.data.video import open_video
from asap_tf.inference.inputs import InputFile, find_inputs
from asap_tf.inference.report import Report
from asap_tf.inference.videos import NO_FRAME, predict_video
from asap_tf.inference.view import View

if TYPE_CHECKING:
    from asap_tf.runtime import Segmenter

_LOGGER = logging.getLogger("asap_tf")

_CHECKERS = 8
_LARGE = 16_000_000
"""Pixels of frames, or probabilities, of which few are held at once."""

_IDLE = 3600.0
"""Seconds after which a file that is not complete was left by a command that was killed."""


class _Remarks:
    """What had to be done to frames: each remark once, with the first frame and how many more."""

    def __init__(self) -> None:
        self._frames: dict[str, list[Path]] = {}

    def add(self, path: Path, remark: str | None) -> None:
        if remark:
            self._frames.setdefault(remark, []).append(path)

    def log(self) -> None:
        for remark, paths in sorted(self._frames.items()):
            more = f" (and {len(paths) - 1} more)" if len(paths) > 1 else ""
            _LOGGER.warning("%s%s: %s", shown(min(paths)), more, remark)


class _BadFiles:
    """Damaged inputs: skipped with a warning, or told at the end."""

    def __init__(self, skip: bool):
        self.skip = skip
        self.errors: dict[Path, BadFile] = {}

    @contextlib.contextmanager
    def passed(self) -> Iterator[None]:
        """Ends the block early at a damaged file, and keeps its error."""
        try:
            yield
        except BadFile as error:
            self.errors[error.path] = error
            if self.skip:
                _LOGGER.warning("skipped: %s", error)

    def good(self, sources: Sequence[InputFile]) -> list[InputFile]:
        return [source for source in sources if source.path not in self.errors]

    def tell(self, sources: Sequence[InputFile], out: Path) -> None:
        """Raises what was wrong, unless that is to be skipped and something was right."""
        others = len(self.good(sources))
        if self.skip and others:
            return
        if self.skip:
            raise AsapError("all of the inputs are damaged")
        for error in self.errors.values():
            count = len(self.errors)
            several = f"{count} of {len(sources)} inputs are damaged, " if count > 1 else ""
            kept = f"; the other {others} are labeled, in {out}" if others else ""
            raise AsapError(f"{several}{error}{kept}")


def predict_inputs(
    segmenter: Segmenter,
    inputs: Sequence[Path],
    out: Path,
    mode: str = "overlay",
    skip_bad: bool = False,
    legend: bool = False,
    format: str = "png",
    unknown_below: float | None = None,
    stop: Stop | None = None,
    report: Report | None = None,
    resume: bool = False,
) -> list[Path]:
    """Predicts images and videos and writes what was found under `out`.

    Before the first prediction every input is opened, and of videos the first frame decoded. An
    image that later turns out to be damaged stops nothing: it is told of at the end. A file appears
    under its name only once it is complete. Reading, inference and writing overlap.

    Args:
        segmenter: Any artifact that `asap_tf.runtime.load` opens.
        inputs: Images, of any mode (see `asap_tf.data.frames`), shown upright; videos (mp4, avi,
            mov, mkv); and folders, which stand for the images and videos in them and in their
            subfolders. What else they hold is passed over with a warning.
        out: Folder for the results, made if missing. Those of a folder keep its tree.
        mode: As of `View`.
        skip_bad: Whether to skip damaged images and videos, with a warning for each.
        legend: Whether overlays have a legend below, of the classes that occur and their shares
            of the pixels.
        format: As of `View`.
        unknown_below: As of `View`.
        stop: Ends the work once a stop is requested; what was labeled by then is kept.
        report: Also tells of every image in one file; for images alone.
        resume: Whether to go on where an earlier call with the same arguments was stopped: images
            with a result are passed over, and videos labeled from the frame on with which their
            result ends.

    Returns:
        The files written, in the order of the inputs: for an image `NAME.png`, or of another
        `format` (`NAME.json` for labelme, `NAME.npz` for probabilities); for a video `NAME.mp4`
        (H.264, upright, with the source's times, sound and shape of pixels, an odd last row or
        column dropped), or for its numbers a folder `NAME` with `000000.png` and so on. Of a
        damaged video they hold the frames that could be decoded, and a warning is given.

    Raises:
        UsageError: for an unknown mode or format, an input that is missing or neither image nor
            video, a folder without any, two inputs that would be written to one name, or an `out`
            that is a file, cannot be written to, holds the inputs, or already has the folder to
            write; for a video where a mode or `report` is for images; and for `resume` with a
            `report`.
        AsapError: if an image, or a video's first frame, could not be read, unless `skip_bad` is
            set, or a result cannot be written.
        Interrupted: if a stop was requested.

    Examples:
        >>> predict_inputs(load("run"), [Path("drive.mp4"), Path("stills")], Path("predictions"))
    """
    view = View(segmenter.classes, mode, legend, format, unknown_below)
    bad, stop = _BadFiles(skip_bad), stop or Stop()
    try:
        if resume and report is not None:
            raise UsageError("`resume`: what `json` tells of is labeled in one call; leave one out")
        every = find_inputs(inputs, out, view, resume)
        sources = [s for s in every if s.is_video or not (resume and s.target.is_file())]
        if len(sources) < len(every):
            _LOGGER.warning("passed over %d images that have results", len(every) - len(sources))
        folders = [out, *(source.target.parent for source in sources)]
        folders += [source.target for source in sources if source.target.is_dir()]
        if report is not None:
            report.check(sources, view)
            folders.append(report.file.parent)
        largest = _check(sources, bad, stop)
        for folder in dict.fromkeys(folders):
            prepare(folder)
        images = [source for source in bad.good(sources) if not source.is_video]
        if images:
            _predict_images(segmenter, images, view, bad, stop, largest, report)
        for source in bad.good(sources):
            if source.is_video:
                with bad.passed():
                    predict_video(segmenter, source, view, stop, resume)
    except OSError as error:
        raise AsapError(f"{error.filename or out}: {error.strerror or error}") from error
    bad.tell(every, out)
    return [source.target for source in bad.good(every)]


def _check(sources: Sequence[InputFile], bad: _BadFiles, stop: Stop) -> int:
    """Opens every input; returns the pixels of the largest image.

    Raises:
        BadFile: at the first that cannot be opened, unless it is to be skipped.
    """

    def check(source: InputFile) -> int:
        with bad.passed():
            if not source.is_video:
                return frame_size(source.path)
            with open_video(source.path) as video:
                if next(video.frames(), None) is None:
                    raise BadFile(source.path, NO_FRAME)
        return 0

    largest = 0
    # Of a folder of any length, a bad file is reported as soon as it is read.
    with map_ahead(check, sources, _CHECKERS, 4 * _CHECKERS) as sizes:
        every = ProgressBar(sizes, "checking", len(sources), unit="file", leave=False)
        for source, size in zip(sources, every, strict=True):
            stop.check("nothing was labeled yet")
            if source.path in bad.errors and not bad.skip:
                raise bad.errors[source.path]
            largest = max(largest, size)
    if bad.errors and not bad.good(sources):
        bad.tell(sources, Path())
    return largest


def prepare(out: Path) -> None:
    """Makes the folder of the results, and removes what a command that was killed has left in it.

    Raises:
        UsageError: if it cannot be written to.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        # Permissions do not show that a disk is read-only or full; writing does.
        with tempfile.TemporaryFile(dir=out) as probe:
            probe.write(bytes(4096))
        remove_leftovers(out, _IDLE)
    except OSError as error:
        raise UsageError(f"{out}: cannot be written to ({error.strerror})") from error


def _predict_images(
    segmenter: Segmenter,
    sources: Sequence[InputFile],
    view: View,
    bad: _BadFiles,
    stop: Stop,
    largest: int,
    report: Report | None,
) -> None:
    remarks = _Remarks()
    done: list[Path] = []

    def read(source: InputFile) -> tuple[InputFile, np.ndarray] | None:
        with bad.passed():
            frame, remark = read_frame(source.path)
            remarks.add(source.path, remark)
            return source, frame
        return None

    def predict(
        item: tuple[InputFile, np.ndarray],
    ) -> tuple[InputFile, np.ndarray, np.ndarray, float]:
        source, frame = item
        start = time.perf_counter()
        answer = view.answer(segmenter, frame)
        return source, frame, answer, time.perf_counter() - start

    def write(item: tuple[InputFile, np.ndarray, np.ndarray, float]) -> None:
        source, frame, answer, seconds = item
        view.write(source.target, source.path, frame, answer)
        if report is not None:
            has_unknown = view.unknown_below is not None
            report.add(source.path, segmenter, answer, seconds, has_unknown)
        done.append(source.target)

    numbers = largest * (len(view.classes) if view.mode == "probabilities" else 1)
    threads, ahead = (1, 1) if numbers > _LARGE else (min(8, available_cores()), 8)
    with (
        _opencv_threads(1 if threads > 1 else cv2.getNumThreads()),
        map_ahead(read, sources, threads, ahead) as found,
        map_ahead(write, map(predict, filter(None, found)), threads, ahead) as written,
    ):
        for _ in ProgressBar(written, "predicting", len(sources), unit="image"):
            if stop.requested:
                break
    remarks.log()
    if report is not None:
        report.write(sources)
    where = sources[0].target.parent
    stop.check(f"{len(done)} of {len(sources)} images are labeled, in {where}; `resume` goes on")


@contextlib.contextmanager
def _opencv_threads(count: int) -> Iterator[None]:
    """Of each call, for a while: beside readers, network and writers more are in the way."""
    before = cv2.getNumThreads()
    cv2.setNumThreads(count)
    try:
        yield
    finally:
        cv2.setNumThreads(before)
