from __future__ import annotations

import contextlib
import math
import os
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from PIL import Image

from asap_tf.core.errors import AsapError
from asap_tf.data.images import BadFile
from asap_tf.data.video import DEFAULT_RATE, Video, is_video, open_video
from asap_tf.data.video_writer import png_folder, video_file, written_frames


def pictures(count: int, height: int, width: int) -> np.ndarray:
    """Solid pictures, each brighter than the one before, RGB of a clear order of channels."""
    levels = np.linspace(0, 200, count).astype(np.uint8)
    return levels[:, None, None, None] + np.array([50, 25, 0], np.uint8) * np.ones(
        (count, height, width, 1), np.uint8
    )


def decoded(path: Path) -> tuple[list[np.ndarray], list[float | None], Video]:
    with open_video(path) as found:
        frames = list(found.frames())
        return [f.pixels for f in frames], [f.seconds for f in frames], found


@pytest.mark.parametrize("rate", [12.5, 30000 / 1001, 0.0, math.nan])
def test_a_video_is_read_as_it_was_written(tmp_path, rate):
    written = pictures(9, 32, 48)
    with video_file(tmp_path / "a.mp4", rate) as write:
        for picture in written:
            write(picture)
        assert not (tmp_path / "a.mp4").exists()
    frames, seconds, found = decoded(tmp_path / "a.mp4")
    wanted = rate if rate > 0 else DEFAULT_RATE
    assert found.rate == pytest.approx(wanted, 1e-3) and found.claimed == 9 and not found.damaged
    np.testing.assert_allclose(seconds, np.arange(9) / wanted, atol=1e-3)
    assert np.abs(np.stack(frames).astype(int) - written).mean() < 5
    # Browsers play H.264 with 4:2:0 chroma, whose index comes first.
    with av.open(str(tmp_path / "a.mp4")) as container:
        (stream,) = container.streams
        assert (stream.codec_context.name, stream.pix_fmt) == ("h264", "yuv420p")
    content = (tmp_path / "a.mp4").read_bytes()
    assert content.index(b"moov") < content.index(b"mdat")


def test_frames_keep_their_times(tmp_path):
    times = [0.0, 0.1, 0.5, 0.5, 2.0]
    with video_file(tmp_path / "a.mp4", 10) as write:
        for picture, seconds in zip(pictures(5, 32, 48), times, strict=True):
            write(picture, seconds)
    np.testing.assert_allclose(decoded(tmp_path / "a.mp4")[1], times, atol=1e-3)


def test_odd_sizes_lose_their_last_row_and_column(tmp_path):
    with video_file(tmp_path / "a.mp4", 10) as write:
        write(pictures(1, 33, 49)[0])
    assert decoded(tmp_path / "a.mp4")[0][0].shape == (32, 48, 3)


def test_pictures_that_are_too_wide_do_not_blame_the_disk(tmp_path):
    with (
        pytest.raises(AsapError, match=r"a\.mp4: frames of 8193 x 16 pixels are too large"),
        video_file(tmp_path / "a.mp4", 10) as write,
    ):
        write(pictures(1, 16, 8193)[0])
    assert os.listdir(tmp_path) == []


def test_pictures_of_changing_size_are_an_error_and_leave_nothing(tmp_path):
    with (
        pytest.raises(AsapError, match=r"a\.mp4: cannot be written"),
        video_file(tmp_path / "a.mp4", 10) as write,
    ):
        write(pictures(1, 32, 48)[0])
        write(pictures(1, 64, 96)[0])
    assert os.listdir(tmp_path) == []


def make(
    path: Path, codec: str, format: str, count: int = 12, sound: float = 0, aspect: int = 1
) -> Path:
    """A video of `pictures`, and of so many seconds of a tone."""
    with av.open(str(path), "w", format=format) as container:
        stream = container.add_stream(codec, rate=25)
        stream.height, stream.width = 48, 64
        stream.pix_fmt = {"mjpeg": "yuvj420p", "gif": "rgb8"}.get(codec, "yuv420p")
        stream.codec_context.sample_aspect_ratio = aspect
        tone = container.add_stream("aac", rate=48_000, layout="mono") if sound else None
        for picture in pictures(count, 48, 64):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture)))
        container.mux(stream.encode(None))
        if tone is not None:
            wave = np.sin(np.arange(int(48_000 * sound)) / 20)[None].astype(np.float32)
            samples = av.AudioFrame.from_ndarray(wave, format="fltp", layout="mono")
            samples.sample_rate = 48_000
            samples.pts = 0
            container.mux(tone.encode(samples))
            container.mux(tone.encode(None))
    return path


@pytest.mark.parametrize(
    ("codec", "format", "name"),
    [
        ("libx264", "mp4", "a.mp4"),
        ("libx264", "mp4", "no_ending"),
        ("libx264", "mov", "a.mov"),
        ("libx264", "matroska", "a.mkv"),
        ("libvpx-vp9", "webm", "a.webm"),
        ("mjpeg", "avi", "a.avi"),
        ("mpeg4", "avi", "a.dat"),
        ("libx264", "mpegts", "a.ts"),
        ("mpeg2video", "mpeg", "a.mpg"),
        ("mpeg2video", "mpeg", "a.vob"),
        ("libx264", "flv", "a.flv"),
        ("gif", "gif", "a.gif"),
    ],
)
def test_videos_of_every_kind_by_their_content(tmp_path, codec, format, name):
    path = make(tmp_path / name, codec, format)
    assert is_video(path)
    frames, seconds, _ = decoded(path)
    assert len(frames) == 12 and seconds[0] == 0
    # A GIF has few colors, mixed from pixel to pixel.
    means = [np.stack(all_).mean(axis=(1, 2)) for all_ in (frames, pictures(12, 48, 64))]
    assert np.abs(means[0] - means[1]).mean() < 12


def test_what_is_no_video(tmp_path):
    still = Image.fromarray(pictures(1, 48, 64)[0])
    for name in ("a.jpg", "a.gif", "a.png", "a.avif"):
        with contextlib.suppress(KeyError, ValueError):  # Not every Pillow has AVIF.
            still.save(tmp_path / name)
            assert not is_video(tmp_path / name)
    (tmp_path / "a.ts").write_text("export const answer = 42\n")
    (tmp_path / "empty").touch()
    assert not any(is_video(tmp_path / name) for name in ("a.ts", "empty", "missing"))
    # A playlist would be followed to other files, whatever its name.
    other = make(tmp_path / "b.ts", "mpeg4", "mpegts")
    (tmp_path / "list.mp4").write_text(f"ffconcat version 1.0\nfile {other.name}\n")
    with av.open(str(tmp_path / "list.mp4"), options={"safe": "0"}) as container:
        assert container.streams.video
    for name, said in [("list.mp4", "not a readable video"), ("missing.mp4", "no such file")]:
        with pytest.raises(BadFile, match=said), open_video(tmp_path / name):
            pass
    with av.open(str(tmp_path / "sound.mp4"), "w") as container:
        tone = container.add_stream("aac", rate=48_000, layout="mono")
        silence = av.AudioFrame.from_ndarray(np.zeros((1, 4800), np.float32), "fltp", "mono")
        silence.sample_rate = 48_000
        container.mux([*tone.encode(silence), *tone.encode(None)])
    with pytest.raises(BadFile, match="without pictures"), open_video(tmp_path / "sound.mp4"):
        pass


def test_rotation_is_applied(tmp_path):
    path = make(tmp_path / "a.mp4", "libx264", "mp4", aspect=2)
    plain, _, found = decoded(path)
    assert found.aspect == 2
    content = path.read_bytes()
    identity = np.array([1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30], ">i4").tobytes()
    clockwise = np.array([0, 1 << 16, 0, -1 << 16, 0, 0, 0, 0, 1 << 30], ">i4").tobytes()
    track = content.index(identity, content.index(b"tkhd"))
    path.write_bytes(content[:track] + clockwise + content[track + len(identity) :])
    frames, _, found = decoded(path)
    np.testing.assert_array_equal(frames[5], np.rot90(plain[5], -1))
    assert found.aspect == Fraction(1, 2)
    shown, frame = cv2.VideoCapture(str(path)).read()
    assert shown and np.abs(frame[..., ::-1].astype(int) - frames[0]).mean() < 2


def test_what_does_not_decode_is_passed_over(tmp_path):
    path = make(tmp_path / "a.avi", "mjpeg", "avi", count=40)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 2 // 3])
    frames, _, found = decoded(path)
    assert 20 < len(frames) < 40 == found.claimed
    # A container may claim more than there is, as one whose sound is longer than its picture.
    longer = make(tmp_path / "a.mkv", "libx264", "matroska", sound=5)
    frames, _, found = decoded(longer)
    assert len(frames) == 12 and found.claimed > 100 and not found.damaged


def test_sound_and_the_shape_of_pixels_are_taken_over(tmp_path):
    source = make(tmp_path / "a.mkv", "libx264", "matroska", count=50, sound=2, aspect=2)
    with open_video(source) as video, video_file(tmp_path / "b.mp4", video.rate, video) as write:
        for frame in video.frames():
            write(frame.pixels, frame.seconds)
    with av.open(str(tmp_path / "b.mp4")) as container:
        assert container.streams.video[0].sample_aspect_ratio == 2
        waves = [frame.to_ndarray() for frame in container.decode(audio=0)]
    with av.open(str(source)) as container:
        originals = [frame.to_ndarray() for frame in container.decode(audio=0)]
    assert 90 < len(waves) <= len(originals)
    np.testing.assert_allclose(waves[40], originals[40], atol=1e-4)
    # MP4 has no place for it.
    silent = tmp_path / "c.mkv"
    with av.open(str(silent), "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        tone = container.add_stream("pcm_s16le", rate=48_000)
        stream.height, stream.width, stream.pix_fmt = 48, 64, "yuv420p"
        container.mux(stream.encode(av.VideoFrame.from_ndarray(pictures(1, 48, 64)[0])))
        container.mux(stream.encode(None))
        container.mux(tone.encode(None))
    with open_video(silent) as video, video_file(tmp_path / "d.mp4", 25, video) as write:
        write(next(video.frames()).pixels)
    with av.open(str(tmp_path / "d.mp4")) as container:
        assert len(container.streams) == 1


@pytest.mark.parametrize("sink", [png_folder, lambda target: video_file(target, 10.0)])
def test_an_error_leaves_an_old_file_alone_and_nothing_beside_it(tmp_path, sink):
    (tmp_path / "a.mp4").write_text("old")
    with pytest.raises(RuntimeError, match="stop"), sink(tmp_path / "a.mp4") as write:
        write(pictures(1, 32, 48)[0])
        raise RuntimeError("stop")
    assert os.listdir(tmp_path) == ["a.mp4"]
    assert (tmp_path / "a.mp4").read_text() == "old"


@pytest.mark.parametrize("count", [1, 5, 7])
def test_frames_are_added_to_a_video_with_their_times_and_sound(tmp_path, count):
    times, written = [0.0, 0.1, 0.2, 0.9, 5.0, 5.1, 9.0, 9.1], pictures(8, 32, 48)
    source = make(tmp_path / "source.mkv", "libx264", "matroska", sound=10)
    for name, parts in (("at_once", [slice(8)]), ("a", [slice(count), slice(count, 8)])):
        for part in parts:
            with (
                open_video(source) as video,
                video_file(tmp_path / f"{name}.mp4", 10, video, bool(part.start)) as write,
            ):
                for picture, seconds in zip(written[part], times[part], strict=True):
                    write(picture, seconds)
    frames, seconds, found = decoded(tmp_path / "a.mp4")
    assert not found.damaged and found.claimed == written_frames(tmp_path / "a.mp4") == 8
    np.testing.assert_allclose(seconds, times, atol=1e-3)
    assert np.abs(np.stack(frames).astype(int) - written).mean() < 5
    sounds = []
    for name in ("a", "at_once"):
        with av.open(str(tmp_path / f"{name}.mp4")) as container:
            waves = [frame.to_ndarray()[0] for frame in container.decode(audio=0)]
            sounds.append(np.concatenate(waves))
    assert len(sounds[0]) > 9 * 48_000
    np.testing.assert_array_equal(*sounds)
