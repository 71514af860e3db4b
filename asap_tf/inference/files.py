"""Prediction on a user's own images and videos, as overlays, color maps or raw train ids."""

from __future__ import annotations

import contextlib
import logging
import tempfile
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import cv2
import numpy as np
from tqdm import tqdm

from asap_tf.core.errors import AsapError, UsageError, nearest
from asap_tf.data.images import BadFile, read_image, write_png
from asap_tf.data.video import open_video, png_folder, video_file
from asap_tf.inference.visualize import colorize, overlay

if TYPE_CHECKING:
    from asap_tf.runtime import Segmenter

_LOGGER = logging.getLogger("asap_tf")

MODES = ("overlay", "color", "ids")
IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")
VIDEO_SUFFIXES = (".mp4", ".avi", ".mov", ".mkv")

_AHEAD = 4
"""Frames that wait between two stages: enough to even out their times, little in memory."""

Item = TypeVar("Item")
Result = TypeVar("Result")


class _Bad:
    """What becomes of damaged inputs: an error, or a place in `files` if they are to be skipped."""

    def __init__(self, skip: bool):
        self.skip = skip
        self.files: set[Path] = set()

    @contextlib.contextmanager
    def told(self) -> Iterator[None]:
        """Ends early, and without an error, where a file that is to be skipped is damaged."""
        try:
            yield
        except BadFile as error:
            if not self.skip:
                raise
            self.files.add(error.path)
            _LOGGER.warning("left out: %s", error)


@dataclass(frozen=True)
class _Job:
    source: Path
    target: Path

    @property
    def is_video(self) -> bool:
        return self.source.suffix.lower() in VIDEO_SUFFIXES


def predict_inputs(
    segmenter: Segmenter,
    inputs: Sequence[Path],
    out: Path,
    mode: str = "overlay",
    skip_bad: bool = False,
) -> list[Path]:
    """Predicts images and videos and writes what was found under `out`.

    Every input is checked before the first prediction, and a file appears under its name only
    once it is complete. Reading, inference and writing overlap.

    Args:
        segmenter: Any artifact that `asap_tf.runtime.load` opens.
        inputs: Images (PNG, JPEG, WebP, BMP, TIFF; 8-bit RGB), videos (mp4, avi, mov, mkv), and
            folders, which stand for the images and videos directly in them.
        out: Folder for the results, made if missing.
        mode: `"overlay"`, the frame under the class colors; `"color"`, the class colors alone;
            `"ids"`, the train ids as 8-bit gray, without loss.
        skip_bad: Whether to go on without images and videos that are damaged, and tell of each.

    Returns:
        The files written, in the order of the inputs: `NAME.png` for an image, `NAME.mp4` for a
        video (MPEG-4, the size and frame rate of the source, an odd last row or column dropped;
        without sound), and for the ids of a video a folder `NAME` with `000000.png` and so on.

    Raises:
        UsageError: for an unknown mode, an input that is missing or neither image nor video, a
            folder without any, two inputs of the same name, or an `out` that is a file, cannot
            be written to, holds the inputs, or already has the folder to write.
        AsapError: if an image or video cannot be read, unless `skip_bad` is set, or a result
            cannot be written.

    Example:
        >>> predict_inputs(load("run"), [Path("drive.mp4"), Path("stills")], Path("predictions"))
    """
    if mode not in MODES:
        raise UsageError(f"mode '{mode}': {nearest(mode, MODES)}")
    try:
        jobs = _plan(inputs, out, mode)
        bad = _Bad(skip_bad)
        _check_sources(jobs, bad)
        prepare(out)
        _predict_images(segmenter, [j for j in jobs if not j.is_video], mode, bad)
        for job in jobs:
            if job.is_video and job.source not in bad.files:
                with bad.told():
                    _predict_video(segmenter, job, mode)
    except OSError as error:
        raise AsapError(f"{error.filename or out}: {error.strerror or error}") from error
    return [job.target for job in jobs if job.source not in bad.files]


def _plan(inputs: Sequence[Path], out: Path, mode: str) -> list[_Job]:
    if not inputs:
        raise UsageError("no input: give images, videos or folders of them")
    if out.exists() and not out.is_dir():
        raise UsageError(f"{out}: is a file; the results need a folder")
    video_suffix = "" if mode == "ids" else ".mp4"
    jobs = []
    for source in (source for path in inputs for source in _sources(path)):
        suffix = video_suffix if source.suffix.lower() in VIDEO_SUFFIXES else ".png"
        jobs.append(_Job(source, out / f"{source.stem}{suffix}"))
    sources = {job.source.resolve() for job in jobs}
    first: dict[Path, _Job] = {}
    for job in jobs:
        if (other := first.setdefault(job.target, job)) is not job:
            raise UsageError(
                f"{other.source} and {job.source} would both be written to {job.target}; "
                "predict them into different folders"
            )
        if job.target.resolve() in sources:
            raise UsageError(f"{job.target}: is itself an input; choose another output folder")
        if job.target.is_dir() or (not job.target.suffix and job.target.exists()):
            raise UsageError(f"{job.target}: already exists; remove it or choose another folder")
    return jobs


def _sources(path: Path) -> list[Path]:
    suffixes = IMAGE_SUFFIXES + VIDEO_SUFFIXES
    if path.is_dir():
        found = sorted(
            file
            for file in path.iterdir()
            if file.suffix.lower() in suffixes and not file.name.startswith(".")
        )
        if not found:
            raise UsageError(f"{path}: no images or videos directly in this folder")
        return found
    if not path.exists():
        raise UsageError(f"{path}: no such file or folder")
    if path.suffix.lower() not in suffixes:
        raise UsageError(f"{path}: neither an image nor a video; known are {' '.join(suffixes)}")
    return [path]


def _check_sources(jobs: Sequence[_Job], bad: _Bad) -> None:
    def check(job: _Job) -> None:
        with bad.told():
            if not job.is_video:
                read_image(job.source)
                return
            with open_video(job.source) as capture:
                if not capture.grab():
                    raise BadFile(job.source, "a video without a single readable frame")

    with ThreadPoolExecutor() as pool:
        checks = pool.map(check, jobs)
        for _ in tqdm(checks, "checking", len(jobs), unit="file", disable=None, leave=False):
            pass
    if len(bad.files) == len(jobs):
        raise AsapError("all of the inputs are damaged")


def prepare(out: Path) -> None:
    """Makes the folder of the results.

    Raises:
        UsageError: if it cannot be written to.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        # Permissions do not tell of a read-only or full disk; writing does.
        with tempfile.TemporaryFile(dir=out) as probe:
            probe.write(bytes(4096))
    except OSError as error:
        raise UsageError(f"{out}: cannot be written to ({error.strerror})") from error


def _predict_images(segmenter: Segmenter, jobs: Sequence[_Job], mode: str, bad: _Bad) -> None:
    if not jobs:
        return

    def read() -> Iterator[tuple[_Job, np.ndarray]]:
        for job in jobs:
            if job.source not in bad.files:
                with bad.told():
                    yield job, read_image(job.source)

    frames = read()
    with tqdm(desc="predicting", total=len(jobs), unit="image", disable=None) as progress:

        def predict(item: tuple[_Job, np.ndarray]) -> tuple[_Job, np.ndarray, np.ndarray]:
            job, frame = item
            labels = segmenter.predict(frame[np.newaxis])[0]
            progress.update()
            return job, frame, labels

        def write(item: tuple[_Job, np.ndarray, np.ndarray]) -> None:
            job, frame, labels = item
            write_png(job.target, picture(frame, labels, segmenter.palette, mode))

        _stream(lambda: next(frames, None), predict, write)


def _predict_video(segmenter: Segmenter, job: _Job, mode: str) -> None:
    with open_video(job.source) as capture:
        total = max(0, int(capture.get(cv2.CAP_PROP_FRAME_COUNT)))
        rate = capture.get(cv2.CAP_PROP_FPS)
        sink = png_folder(job.target) if mode == "ids" else video_file(job.target, rate)
        progress = tqdm(desc=job.source.name, total=total or None, unit="frame", disable=None)
        with progress, sink as write_picture:
            done = 0

            def read() -> np.ndarray | None:
                found, frame = capture.read()
                return cv2.cvtColor(frame, cv2.COLOR_BGR2RGB) if found else None

            def predict(frame: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
                nonlocal done
                labels = segmenter.predict(frame[np.newaxis])[0]
                done += 1
                progress.update()
                return frame, labels

            def write(item: tuple[np.ndarray, np.ndarray]) -> None:
                write_picture(picture(*item, segmenter.palette, mode))

            _stream(read, predict, write)
            # Some containers only estimate their number of frames, hence the tolerance.
            if done < 0.95 * total - 5:
                raise BadFile(
                    job.source,
                    f"damaged, decoding stopped after {done} of {total} frames; "
                    "repair it or cut it there, and try again",
                )


def _stream(
    read: Callable[[], Item | None],
    process: Callable[[Item], Result],
    write: Callable[[Result], None],
) -> None:
    """Runs `write(process(read()))` until `read` gives None, all three at the same time.

    `read` and `write` have a thread each and are called in order; `process` runs in the calling
    thread. An error in any of them ends the stream and is raised here.
    """
    with ThreadPoolExecutor(1) as reader, ThreadPoolExecutor(1) as writer:
        reads = deque(reader.submit(read) for _ in range(_AHEAD))
        writes: deque[Future[None]] = deque()
        while (item := reads.popleft().result()) is not None:
            reads.append(reader.submit(read))
            writes.append(writer.submit(write, process(item)))
            if len(writes) > _AHEAD:
                writes.popleft().result()
        for pending in writes:
            pending.result()


def picture(frame: np.ndarray, labels: np.ndarray, palette: np.ndarray, mode: str) -> np.ndarray:
    """What a mode shows of a frame and its labels, uint8 `(H, W, 3)` RGB, or `(H, W)` of ids."""
    if mode == "ids":
        return labels
    return colorize(labels, palette) if mode == "color" else overlay(frame, labels, palette)
