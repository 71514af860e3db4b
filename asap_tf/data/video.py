"""Videos: reading what decodes of them, and writing them whole or not at all.

Files are PyAV's, which is FFmpeg's libraries; live streams and cameras are OpenCV's
(`asap_tf.inference.streams`).
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import av
import numpy as np
from PIL import Image

from asap_tf.core.errors import AsapError, first_line
from asap_tf.core.files import written_whole
from asap_tf.data.images import MOST_PIXELS, BadFile, write_image

_LOGGER = logging.getLogger("asap_tf")

VIDEO_SUFFIXES = (".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".mts", ".m2ts")
"""Of files that are taken for videos by their name; of others (.ts, .gif) the content decides."""

DEFAULT_RATE = 25.0
"""Frames a second of a video that does not state them."""

LONGEST_SIDE = 8192
"""Pixels, of H.264 as players take it."""

# Formats that hold what they play. Others, such as playlists, would open further files.
_FORMATS = "mov,mp4,matroska,webm,avi,mpegts,mpeg,mpegvideo,gif,flv,asf,ogg,h264,hevc"
_READING = {"protocol_whitelist": "file", "format_whitelist": _FORMATS}
_STILLS = (b"avif", b"avis", b"heic", b"heix", b"heim", b"heis", b"mif1", b"msf1")
_SOUND = ("aac", "mp3", "mp3float", "ac3", "eac3", "opus", "alac", "flac")
"""What MP4 can hold."""

_TICKS = 90_000
"""Of a second, in which the times of written frames are counted."""


class VideoFrame(NamedTuple):
    """A frame of a video.

    Attributes:
        pixels: uint8 `(H, W, 3)`, RGB, upright.
        seconds: Time at which it is shown; None if the video does not say.
    """

    pixels: np.ndarray
    seconds: float | None


Write = Callable[..., None]


class Video:
    """A video file that is open for reading.

    Attributes:
        path: The file.
        claimed: Frames that its container claims or lets one guess; 0 if it does not.
        rate: Frames a second, on average.
        aspect: Width of a pixel over its height, once it is upright.
        start: Seconds at which the first frame is shown, known once it is decoded.
        damaged: Whether parts that could not be decoded have been passed over.
    """

    def __init__(self, path: Path, container: Any):
        self.path = path
        self._container = container
        self._stream = container.streams.video[0]
        self._stream.thread_type = "AUTO"
        self.rate = float(self._stream.average_rate or self._stream.guessed_rate or DEFAULT_RATE)
        self.claimed = self._stream.frames or self._guessed()
        self.start = 0.0
        self.damaged = False
        self.aspect = Fraction(self._stream.sample_aspect_ratio or 1)

    def frames(self) -> Iterator[VideoFrame]:
        """All frames that can be decoded, in order; may be called once."""
        for frame in self.decoded():
            seconds = None if frame.time is None else frame.time - self.start
            yield VideoFrame(self.upright(frame), seconds)

    def decoded(self) -> Iterator[Any]:
        """The same as PyAV has them, for those who want few of them: see `upright`."""
        first = True
        for packet in self._packets():
            try:
                frames = packet.decode()
            except av.error.FFmpegError:
                self.damaged = True
                continue
            for frame in frames:
                if first:
                    self.start, first = frame.time or 0.0, False
                yield frame

    def upright(self, frame: Any) -> np.ndarray:
        """Pixels of a decoded frame, uint8 `(H, W, 3)`, RGB."""
        pixels = frame.to_ndarray(format="rgb24")
        quarters = round(frame.rotation / 90) % 4
        if quarters % 2:
            self.aspect = 1 / Fraction(self._stream.sample_aspect_ratio or 1)
        return np.ascontiguousarray(np.rot90(pixels, quarters)) if quarters else pixels

    def _packets(self) -> Iterator[Any]:
        try:
            yield from self._container.demux(self._stream)
        except av.error.FFmpegError:
            self.damaged = True

    def _guessed(self) -> int:
        seconds = float(self._container.duration or 0) / av.time_base
        return round(seconds * self.rate)


def is_video(path: Path) -> bool:
    """Whether a file is a video, an animated GIF included: by its name, else by its content."""
    if path.suffix.lower() in VIDEO_SUFFIXES:
        return True
    try:
        with path.open("rb") as file:
            start = file.read(512)
        if start.startswith((b"GIF87a", b"GIF89a")):
            with Image.open(path, formats=["GIF"]) as image:
                return bool(getattr(image, "is_animated", False))
    except Exception:
        # What is wrong with it is said by whoever reads it.
        return False
    return (
        (start[4:8] == b"ftyp" and start[8:12] not in _STILLS)
        or start[4:8] in (b"moov", b"mdat", b"wide")
        or start.startswith((b"\x1aE\xdf\xa3", b"\0\0\1\xba", b"\0\0\1\xb3", b"FLV\1", b"OggS"))
        or (start.startswith(b"RIFF") and start[8:12] == b"AVI ")
        or start.startswith(b"0&\xb2u\x8ef\xcf\x11")
        or start[:377:188] == b"GGG"
        or start[4:389:192] == b"GGG"
    )


@contextmanager
def open_video(path: Path) -> Iterator[Video]:
    """A video, open for reading as long as the context lasts.

    Raises:
        BadFile: if it cannot be opened, has no pictures, or too many pixels.
    """
    try:
        # The protocol is named: a file's name could be taken for another one's.
        container = av.open(f"file:{path}", options=_READING)
    except (OSError, ValueError) as error:
        if isinstance(error, FileNotFoundError):
            raise BadFile(path, "no such file") from None
        problem = "not a readable video; it is damaged or of an unknown codec"
        raise BadFile(path, problem) from error
    with container:
        if not container.streams.video:
            raise BadFile(path, "a video without pictures")
        stream = container.streams.video[0]
        if stream.codec_context is None:
            raise BadFile(path, "not a readable video; it is damaged or of an unknown codec")
        if stream.width * stream.height > MOST_PIXELS:
            raise BadFile(path, f"frames of {stream.width} x {stream.height} pixels are too large")
        yield Video(path, container)


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

        def write(picture: np.ndarray, seconds: float | None = None) -> None:
            nonlocal count
            write_image(aside / f"{count:06d}.png", picture)
            count += 1

        yield write


@contextmanager
def video_file(target: Path, rate: float, source: Video | None = None) -> Iterator[Write]:
    """Writes images into an H.264 video, which appears at the end.

    After an error nothing is left of it.

    Args:
        target: File with the suffix `.mp4`, in a folder that exists.
        rate: Frames a second; `DEFAULT_RATE` if it is not above 0.
        source: Video whose sound, where MP4 can hold it, and shape of pixels are taken over.

    Yields:
        A function that writes an image, uint8 `(H, W, 3)` RGB, and may be given the seconds at
        which it is shown, `rate` apart else. All must have one size, of which an odd last row or
        column is dropped.

    Raises:
        AsapError: if the video cannot be written, or its images are too large for one.
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
        self._last, self._count = -1, 0
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
        while self._waiting is not None and self._waiting.pts * self._waiting.time_base <= seconds:
            self._container.mux(self._waiting)
            self._waiting = next(self._sound, None)
        self._container.mux(self._stream.encode(frame))
        self._count += 1

    def finish(self) -> None:
        self._container.mux(self._stream.encode(None))


@contextmanager
def _writing(
    path: Path, rate: float, size: tuple[int, int], source: Video | None
) -> Iterator[_Writer]:
    options = {"movflags": "faststart"}
    with contextlib.ExitStack() as held:
        container = held.enter_context(av.open(f"file:{path}", "w", "mp4", options=options))
        writer = _Writer(container, rate, size, source.aspect if source else Fraction(1))
        if source is not None:
            sound = held.enter_context(av.open(f"file:{source.path}", options=_READING))
            stream = next(iter(sound.streams.audio), None)
            if stream is not None and stream.codec_context.name in _SOUND:
                writer.take_sound(stream, source.start)
        yield writer
