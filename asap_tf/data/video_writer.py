"""Videos that are written: whole or not at all, and further than a stopped call came."""

from __future__ import annotations

import contextlib
import itertools
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.bitstream import BitStreamFilterContext

from asap_tf.core.errors import AsapError, first_line
from asap_tf.core.files import written_whole
from asap_tf.data.images import BadFile, write_image
from asap_tf.data.video import DEFAULT_RATE, READING, Video, open_video

LONGEST_SIDE = 8192
"""Pixels, of H.264 as players take it."""

_SOUND = ("aac", "mp3", "mp3float", "ac3", "eac3", "opus", "alac", "flac")
"""What MP4 can hold."""

_TICKS = 90_000
"""Of a second, in which the times of written frames are counted."""

Write = Callable[..., None]


def written_frames(target: Path) -> int:
    """Frames that a result of `png_folder` or `video_file` holds; 0 if there is none.

    Raises:
        AsapError: if it is a file, but no video.
    """
    if target.is_dir():
        return next(n for n in itertools.count() if not _numbered(target, n).exists())
    if not target.exists():
        return 0
    try:
        with open_video(target) as video:
            return video.claimed
    except BadFile as error:
        raise AsapError(f"{error}; remove it to begin anew") from error


@contextmanager
def png_folder(target: Path, first: int = 0) -> Iterator[Write]:
    """Writes images as `000000.png` and so on into a folder, which appears at the end.

    After an error nothing is left of it.

    Args:
        target: Folder that does not exist yet; its parent must.
        first: Number of the first image. Above 0, images are added to the folder, one by one.

    Yields:
        A function that writes an image, uint8 `(H, W)` or `(H, W, 3)` RGB.

    Raises:
        AsapError: if an image cannot be written.
    """
    numbers = itertools.count(first)
    with contextlib.nullcontext(target) if first else written_whole(target) as folder:
        folder.mkdir(exist_ok=first > 0)

        def write(picture: np.ndarray, seconds: float | None = None) -> None:
            write_image(_numbered(folder, next(numbers)), picture)

        yield write


def _numbered(folder: Path, number: int) -> Path:
    return folder / f"{number:06d}.png"


@contextmanager
def video_file(
    target: Path, rate: float, source: Video | None = None, resume: bool = False
) -> Iterator[Write]:
    """Writes images into an H.264 video, which appears at the end.

    After an error nothing is left of it, and what was there before is as it was.

    Args:
        target: File with the suffix `.mp4`, in a folder that exists.
        rate: Frames a second; `DEFAULT_RATE` if it is not above 0.
        source: Video whose sound, where MP4 can hold it, and shape of pixels are taken over.
        resume: Whether the frames of `target` come first, as they are stored there.

    Yields:
        A function that writes an image, uint8 `(H, W, 3)` RGB, and may be given the seconds at
        which it is shown, `rate` apart else. All must have one size, of which an odd last row or
        column is dropped.

    Raises:
        AsapError: if the video cannot be written, its images are too large for one, or those of
            `target` have another size or codec.
    """
    rate = rate if rate > 0 else DEFAULT_RATE
    with written_whole(target) as aside, contextlib.ExitStack() as held:
        writer: _Writer | None = None

        def write(picture: np.ndarray, seconds: float | None = None) -> None:
            nonlocal writer
            if writer is None:
                height, width = picture.shape[:2]
                if max(height, width) > LONGEST_SIDE:
                    raise AsapError(
                        f"{target}: frames of {width} x {height} pixels are too large for "
                        f"H.264, which takes {LONGEST_SIDE} at most along a side; scale them down"
                    )
                writer = held.enter_context(_writing(aside, rate, (height, width), source))
                if resume:
                    writer.take_over(target)
            writer.write(picture, seconds)

        try:
            yield write
            if writer is not None:
                writer.finish()
            held.close()
        except (av.error.FFmpegError, ValueError) as error:
            raise AsapError(f"{target}: cannot be written ({first_line(error)})") from error


class _Writer:
    """An H.264 stream in an MP4 file, and beside it the sound of another file."""

    def __init__(self, container: Any, rate: float, size: tuple[int, int], aspect: Fraction):
        self._container, self._rate, self._size = container, rate, size
        codec = "libx264" if "libx264" in av.codecs_available else "mpeg4"
        self._stream = container.add_stream(codec, rate=Fraction(rate).limit_denominator(1001))
        self._stream.height, self._stream.width = (side - side % 2 for side in size)
        self._stream.pix_fmt = "yuv420p"
        self._stream.options = {"preset": "veryfast", "crf": "20"} if codec == "libx264" else {}
        self._stream.codec_context.time_base = Fraction(1, _TICKS)
        self._stream.codec_context.sample_aspect_ratio = aspect
        self._last, self._decoded, self._count = -1, -math.inf, 0
        self._sound: Iterator[Any] = iter(())
        self._waiting: Any = None

    def take_sound(self, stream: Any, start: float) -> None:
        """Adds the sound of an open file, from some second on, as far as pictures go."""
        out = self._container.add_stream_from_template(stream)

        def packets() -> Iterator[Any]:
            with contextlib.suppress(av.error.FFmpegError):
                for packet in stream.container.demux(stream):
                    shift = round(start / packet.time_base) if packet.dts is not None else 0
                    if packet.dts is None or packet.dts < shift:
                        continue
                    packet.pts, packet.dts = packet.pts - shift, packet.dts - shift
                    packet.stream = out
                    yield packet

        self._sound = packets()
        self._waiting = next(self._sound, None)

    def write(self, picture: np.ndarray, seconds: float | None) -> None:
        if picture.shape[:2] != self._size:
            raise ValueError("frames of several sizes")
        pixels = np.ascontiguousarray(picture[: self._stream.height, : self._stream.width])
        frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
        seconds = self._count / self._rate if seconds is None else seconds
        self._last = max(self._last + 1, round(seconds * _TICKS))
        frame.pts, frame.time_base = self._last, Fraction(1, _TICKS)
        self._add_sound(seconds)
        self._mux(self._stream.encode(frame))
        self._count += 1

    def take_over(self, path: Path) -> None:
        """Begins with the frames of an earlier result, without encoding them again."""
        with open_video(path) as before:
            stream = before.stream
            kind = stream.codec_context.name, stream.height, stream.width
            if kind != ("h264", self._stream.height, self._stream.width):
                raise AsapError(
                    f"{path}: of another size or codec than what would be added to it; remove it "
                    "or choose another folder"
                )
            # In MP4 packets are cut in another way than the encoder's.
            convert: Any = BitStreamFilterContext("h264_mp4toannexb", stream)
            for stored in stream.container.demux(stream):
                for packet in convert.filter(stored if stored.size else None):
                    seconds = float(packet.pts * packet.time_base)
                    self._add_sound(seconds)
                    self._last = max(self._last, round(seconds * _TICKS))
                    self._decoded = round(packet.dts * packet.time_base * _TICKS)
                    self._count += 1
                    packet.stream = self._stream
                    self._container.mux(packet)

    def finish(self) -> None:
        self._mux(self._stream.encode(None))

    def _mux(self, packets: list[Any]) -> None:
        for packet in packets:
            # The first of an encoder may come before the last of what was taken over.
            packet.dts = max(packet.dts, self._decoded + 1)
            self._decoded = packet.dts
            self._container.mux(packet)

    def _add_sound(self, seconds: float) -> None:
        while self._waiting is not None and self._waiting.pts * self._waiting.time_base <= seconds:
            self._container.mux(self._waiting)
            self._waiting = next(self._sound, None)


@contextmanager
def _writing(
    path: Path, rate: float, size: tuple[int, int], source: Video | None
) -> Iterator[_Writer]:
    options = {"movflags": "faststart"}
    with contextlib.ExitStack() as held:
        container = held.enter_context(av.open(f"file:{path}", "w", "mp4", options=options))
        writer = _Writer(container, rate, size, source.aspect if source else Fraction(1))
        if source is not None:
            sound = held.enter_context(av.open(f"file:{source.path}", options=READING))
            stream = next(iter(sound.streams.audio), None)
            if stream is not None and stream.codec_context.name in _SOUND:
                writer.take_sound(stream, source.start)
        yield writer
