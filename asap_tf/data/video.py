"""Videos as people have them: what decodes of a file, upright.

Files are PyAV's, which is FFmpeg's libraries; live streams and cameras are OpenCV's
(`asap_tf.inference.streams`).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import av
import numpy as np
from PIL import Image

from asap_tf.data.frames import HEIC_BRANDS
from asap_tf.data.images import MOST_PIXELS, BadFile

VIDEO_SUFFIXES = (".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".mts", ".m2ts")
"""Of files that are taken for videos by their name; of others (.ts, .gif) the content decides."""

DEFAULT_RATE = 25.0
"""Frames a second of a video that does not state them."""

# Formats that hold what they play. Others, such as playlists, would open further files.
_FORMATS = "mov,mp4,matroska,webm,avi,mpegts,mpeg,mpegvideo,gif,flv,asf,ogg,h264,hevc"
READING = {"protocol_whitelist": "file", "format_whitelist": _FORMATS}
_STILLS = (b"avif", b"avis", *HEIC_BRANDS)


class VideoFrame(NamedTuple):
    """A frame of a video.

    Attributes:
        pixels: uint8 `(H, W, 3)`, RGB, upright.
        seconds: Time at which it is shown; None if the video does not say.
    """

    pixels: np.ndarray
    seconds: float | None


class Video:
    """A video file that is open for reading.

    Attributes:
        path: The file.
        stream: PyAV's stream of its pictures.
        claimed: Frames that its container claims or lets one guess; 0 if it does not.
        rate: Frames a second, on average.
        aspect: Width of a pixel over its height, once it is upright.
        start: Seconds at which the first frame is shown, known once it is decoded.
        damaged: Whether parts that could not be decoded have been passed over.
    """

    def __init__(self, path: Path, container: Any):
        self.path = path
        self._container = container
        self.stream = container.streams.video[0]
        self.stream.thread_type = "AUTO"
        self.rate = float(self.stream.average_rate or self.stream.guessed_rate or DEFAULT_RATE)
        self.claimed = self.stream.frames or self._guessed()
        self.start = 0.0
        self.damaged = False
        self.aspect = Fraction(self.stream.sample_aspect_ratio or 1)

    def frames(self, skip: int = 0) -> Iterator[VideoFrame]:
        """All frames that can be decoded after the first `skip`, in order; may be called once."""
        for frame in itertools.islice(self.decoded(), skip, None):
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
            self.aspect = 1 / Fraction(self.stream.sample_aspect_ratio or 1)
        return np.ascontiguousarray(np.rot90(pixels, quarters)) if quarters else pixels

    def _packets(self) -> Iterator[Any]:
        try:
            yield from self._container.demux(self.stream)
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
        container = av.open(f"file:{path}", options=READING)
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
