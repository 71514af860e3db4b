"""Prediction on a user's own images and videos, as overlays, color maps or raw train ids."""

from __future__ import annotations

import contextlib
import itertools
import logging
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from tqdm import tqdm

from asap_tf.core.ahead import map_ahead
from asap_tf.core.errors import AsapError, UsageError, nearest, shown
from asap_tf.core.files import remove_leftovers
from asap_tf.core.labels import LabelClass, palette
from asap_tf.core.signals import Stop
from asap_tf.data.frames import is_image, pass_over, read_frame, walk
from asap_tf.data.images import BadFile, write_png
from asap_tf.data.video import VideoFrame, is_video, open_video, png_folder, video_file
from asap_tf.inference.visualize import colorize, overlay, shares_legend

if TYPE_CHECKING:
    from asap_tf.runtime import Segmenter

_LOGGER = logging.getLogger("asap_tf")

MODES = ("overlay", "color", "ids")
_NO_FRAME = "a video without a single readable frame"
_READERS = 8
_IDLE = 3600.0
"""Seconds after which a file that is not complete was left by a command that was killed."""


@dataclass(frozen=True)
class _InputFile:
    """An input and the file or folder that its result is written to."""

    path: Path
    target: Path
    is_video: bool


@dataclass(frozen=True)
class View:
    """What is written of a frame and its labels.

    Attributes:
        classes: Classes in the order of their train ids.
        mode: One of `MODES`.
        legend: Whether an overlay has a legend below.
    """

    classes: Sequence[LabelClass]
    mode: str
    legend: bool

    def picture(
        self, frame: np.ndarray, labels: np.ndarray, same_height: bool = False
    ) -> np.ndarray:
        """The picture, uint8 `(H, W, 3)` RGB, or `(H, W)` of ids; `same_height` for a video."""
        if self.mode == "ids":
            return labels
        if self.mode == "color":
            return colorize(labels, palette(self.classes))
        shown = overlay(frame, labels, palette(self.classes))
        if not self.legend:
            return shown
        return np.vstack([shown, shares_legend(labels, self.classes, same_height)])


class _Remarks:
    """What had to be done to frames: each remark once, with the first frame and how many more."""

    def __init__(self) -> None:
        self._frames: dict[str, list[Path]] = {}

    def add(self, path: Path, remark: str | None) -> None:
        if remark:
            self._frames.setdefault(remark, []).append(path)

    def log(self) -> None:
        for remark, paths in self._frames.items():
            more = f" (and {len(paths) - 1} more)" if len(paths) > 1 else ""
            _LOGGER.warning("%s%s: %s", shown(paths[0]), more, remark)


class _BadFiles:
    """Damaged inputs: each an error, or, where they are to be skipped, collected in `paths`."""

    def __init__(self, skip: bool):
        self.skip = skip
        self.paths: set[Path] = set()

    @contextlib.contextmanager
    def skipped(self) -> Iterator[None]:
        """Ends the block early, and without an error, at a damaged file that is to be skipped."""
        try:
            yield
        except BadFile as error:
            if not self.skip:
                raise
            self.paths.add(error.path)
            _LOGGER.warning("skipped: %s", error)


def predict_inputs(
    segmenter: Segmenter,
    inputs: Sequence[Path],
    out: Path,
    mode: str = "overlay",
    skip_bad: bool = False,
    legend: bool = False,
    stop: Stop | None = None,
) -> list[Path]:
    """Predicts images and videos and writes what was found under `out`.

    Every input is checked before the first prediction, and a file appears under its name only
    once it is complete. Reading, inference and writing overlap.

    Args:
        segmenter: Any artifact that `asap_tf.runtime.load` opens.
        inputs: Images, of any mode (see `asap_tf.data.frames`), shown upright; videos (mp4, avi,
            mov, mkv); and folders, which stand for the images and videos in them and in their
            subfolders. What else they hold is passed over with a warning.
        out: Folder for the results, made if missing. Those of a folder keep its tree.
        mode: `"overlay"`, the frame under the class colors; `"color"`, the class colors alone;
            `"ids"`, the train ids as 8-bit gray, without loss.
        skip_bad: Whether to skip damaged images and videos, with a warning for each.
        legend: Whether overlays have a legend below, of the classes that occur and their shares
            of the pixels.
        stop: Ends the work once a stop is requested; what was labeled by then is kept.

    Returns:
        The files written, in the order of the inputs: `NAME.png` for an image, `NAME.mp4` for a
        video (H.264, upright, with the source's times, sound and shape of pixels, an odd last row
        or column dropped), and for the ids of a video a folder `NAME` with `000000.png` and so on.
        Of a damaged video they hold the frames that could be decoded, and a warning is given.

    Raises:
        UsageError: for an unknown mode, an input that is missing or neither image nor video, a
            folder without any, two inputs that would be written to one name, or an `out` that is
            a file, cannot be written to, holds the inputs, or already has the folder to write.
        AsapError: if an image, or a video's first frame, cannot be read, unless `skip_bad` is set,
            or a result cannot be written.
        Interrupted: if a stop was requested.

    Example:
        >>> predict_inputs(load("run"), [Path("drive.mp4"), Path("stills")], Path("predictions"))
    """
    if mode not in MODES:
        raise UsageError(f"`mode` '{mode}': {nearest(mode, MODES)}")
    try:
        sources = _find_sources(inputs, out, mode)
        bad = _BadFiles(skip_bad)
        stop = stop or Stop()
        _check_sources(sources, bad, stop)
        for folder in dict.fromkeys([out, *(source.target.parent for source in sources)]):
            prepare(folder)
        view = View(segmenter.classes, mode, legend)
        images = [s for s in sources if not s.is_video and s.path not in bad.paths]
        if images:
            _predict_images(segmenter, images, view, bad, stop)
        for source in sources:
            if source.is_video and source.path not in bad.paths:
                with bad.skipped():
                    _predict_video(segmenter, source, view, stop)
    except OSError as error:
        raise AsapError(f"{error.filename or out}: {error.strerror or error}") from error
    return [source.target for source in sources if source.path not in bad.paths]


def _find_sources(inputs: Sequence[Path], out: Path, mode: str) -> list[_InputFile]:
    if not inputs:
        raise UsageError("no input: give images, videos or folders of them")
    if out.exists() and not out.is_dir():
        raise UsageError(f"{out}: is a file; the results need a folder")
    sources = []
    for path, place in (found for given in inputs for found in _files_of(given, out)):
        video = is_video(path)
        suffix = ".png" if not video else "" if mode == "ids" else ".mp4"
        sources.append(_InputFile(path, out / place.with_name(f"{path.stem}{suffix}"), video))
    paths = {source.path.resolve() for source in sources}
    first: dict[Path, _InputFile] = {}
    for source in sources:
        target = source.target
        if (other := first.setdefault(target, source)) is not source:
            raise UsageError(
                f"{other.path} and {source.path} would both be written to {target}; "
                "predict them into different folders"
            )
        if target.resolve() in paths:
            raise UsageError(f"{target}: is itself an input; choose another output folder")
        if target.is_dir() or (not target.suffix and target.exists()):
            raise UsageError(f"{target}: already exists; remove it or choose another folder")
    for source in sources:
        if around := first.keys() & set(source.target.parents):
            folder = min(around)
            raise UsageError(
                f"{first[folder].path} would be written to {folder}, the folder of "
                f"{source.target}; predict them into different folders"
            )
    return sources


def _files_of(path: Path, out: Path) -> list[tuple[Path, Path]]:
    """The images and videos that an input stands for, each with its place below `out`."""
    if not path.exists():
        raise UsageError(f"{path}: no such file or folder")
    if not path.is_dir():
        if not (is_video(path) or is_image(path)):
            raise UsageError(f"{path}: neither an image nor a video")
        return [(path, Path(path.name))]
    files = walk(path, leave_out=out)
    found = [file for file in files if is_video(file) or is_image(file)]
    if not found:
        raise UsageError(f"{path}: no images or videos in this folder and its subfolders")
    others = sorted(set(files) - set(found))
    pass_over(path, others, "neither images nor videos")
    return [(file, file.relative_to(path)) for file in found]


def _check_sources(sources: Sequence[_InputFile], bad: _BadFiles, stop: Stop) -> None:
    def check(source: _InputFile) -> None:
        with bad.skipped():
            if not source.is_video:
                read_frame(source.path)
                return
            with open_video(source.path) as video:
                if next(video.frames(), None) is None:
                    raise BadFile(source.path, _NO_FRAME)

    # Of a folder of any length, a bad file is reported as soon as it is read.
    with map_ahead(check, sources, _READERS, 4 * _READERS) as checks:
        for _ in tqdm(checks, "checking", len(sources), unit="file", disable=None, leave=False):
            stop.check("nothing was labeled yet")
    if len(bad.paths) == len(sources):
        raise AsapError("all of the inputs are damaged")


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
    segmenter: Segmenter, sources: Sequence[_InputFile], view: View, bad: _BadFiles, stop: Stop
) -> None:
    remarks = _Remarks()
    done = 0

    def read(source: _InputFile) -> tuple[_InputFile, np.ndarray] | None:
        with bad.skipped():
            frame, remark = read_frame(source.path)
            remarks.add(source.path, remark)
            return source, frame
        return None

    def predict(item: tuple[_InputFile, np.ndarray]) -> tuple[_InputFile, np.ndarray, np.ndarray]:
        source, frame = item
        return source, frame, segmenter.predict(frame[np.newaxis])[0]

    def write(item: tuple[_InputFile, np.ndarray, np.ndarray]) -> None:
        nonlocal done
        source, frame, labels = item
        write_png(source.target, view.picture(frame, labels))
        done += 1

    with (
        map_ahead(read, sources) as found,
        map_ahead(write, map(predict, filter(None, found))) as written,
    ):
        for _ in tqdm(written, "predicting", len(sources), unit="image", disable=None):
            if stop.requested:
                break
    remarks.log()
    stop.check(f"{done} of {len(sources)} images are labeled, in {sources[0].target.parent}")


def _predict_video(segmenter: Segmenter, source: _InputFile, view: View, stop: Stop) -> None:
    done = 0

    def read(number: int) -> VideoFrame | None:
        return next(frames, None)

    def predict(frame: VideoFrame) -> tuple[VideoFrame, np.ndarray]:
        return frame, segmenter.predict(frame.pixels[np.newaxis])[0]

    def write(item: tuple[VideoFrame, np.ndarray]) -> None:
        nonlocal done
        (pixels, seconds), labels = item
        write_picture(view.picture(pixels, labels, same_height=True), seconds)
        done += 1

    with open_video(source.path) as video:
        frames = video.frames()
        ids = view.mode == "ids"
        sink = png_folder(source.target) if ids else video_file(source.target, video.rate, video)
        name, total = shown(source.path.name), video.claimed or None
        with sink as write_picture:
            with (
                map_ahead(read, itertools.count()) as found,
                map_ahead(write, map(predict, _until_none(found))) as written,
            ):
                for _ in tqdm(written, name, total, unit="frame", disable=None):
                    if stop.requested:
                        break
            if not done:
                raise BadFile(source.path, _NO_FRAME)
        stop.check(f"{done} frames of {source.path} are labeled, in {source.target}")
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
