from __future__ import annotations

import os
import subprocess
import sys
import threading

import numpy as np
import pytest

from asap_tf.core.errors import AsapError, Interrupted, UsageError
from asap_tf.core.files import hidden
from asap_tf.core.signals import Stop
from asap_tf.data.images import read_image, write_image
from asap_tf.data.video_writer import video_file
from asap_tf.inference.files import predict_inputs
from asap_tf.inference.report import Report
from support.frames_to_label import (
    FRAMES,
    HEIGHT,
    RATE,
    WIDTH,
    FakeSegmenter,
    order,
    read_labels,
    read_video,
    save_image,
    save_video,
)


@pytest.mark.parametrize("name", ["drive.mp4", "drive.avi", "drive.mkv", "DRIVE.MP4"])
def test_a_video_keeps_its_frames_their_order_size_and_rate(tmp_path, out, name):
    source = save_video(tmp_path / name)
    (target,) = predict_inputs(FakeSegmenter(), [source], out, "color")
    assert target == out / f"{source.stem}.mp4"
    frames, rate = read_video(target)
    assert (len(frames), rate) == (FRAMES, RATE)
    for index, frame in enumerate(frames):
        assert frame.shape == (HEIGHT, WIDTH, 3)
        mean = frame.reshape(-1, 3).mean(axis=0)
        found = np.abs(FakeSegmenter.palette - mean).sum(axis=1).argmin()
        assert found == order(index), index
    assert os.listdir(out) == [target.name]


def test_ids_of_a_video_are_a_folder_without_loss(tmp_path, out):
    source = save_video(tmp_path / "drive.mp4")
    assert predict_inputs(FakeSegmenter(), [source], out, "ids") == [out / "drive"]
    names = sorted(os.listdir(out / "drive"))
    assert names == [f"{index:06d}.png" for index in range(FRAMES)]
    for name, frame in zip(names, read_video(source)[0], strict=True):
        assert np.array_equal(read_labels(out / "drive" / name), frame[..., 0] // 64)


def test_of_a_damaged_video_what_decodes_is_labeled(tmp_path, out, caplog):
    source = save_video(tmp_path / "drive.avi", noise=True)
    source.write_bytes(source.read_bytes()[: source.stat().st_size // 2])
    for mode in ("color", "ids"):
        (target,) = predict_inputs(FakeSegmenter(), [source], out, mode)
        frames = list(target.iterdir()) if mode == "ids" else read_video(target)[0]
        assert 5 < len(frames) < FRAMES
        message = caplog.messages.pop()
        assert message == f"{source}: has {len(frames)} frames, though it claims {FRAMES}" or (
            message == f"{source}: damaged; {len(frames)} frames could be decoded"
        )


class Stopped(FakeSegmenter):
    """Is asked to stop at its eighth frame."""

    def __init__(self, stop: Stop) -> None:
        super().__init__()
        self.stop = stop

    def predict(self, frames):
        if self.frames == 7:
            self.stop.requested = 2
        return super().predict(frames)


@pytest.mark.parametrize("mode", ["color", "ids"])
def test_a_stopped_video_keeps_what_was_labeled_and_resumes(tmp_path, out, mode):
    stop, source = Stop(), save_video(tmp_path / "drive.mp4")
    with pytest.raises(Interrupted) as error:
        predict_inputs(Stopped(stop), [source], out, mode, stop=stop)
    (target,) = out.iterdir()
    count = len(list(target.iterdir()) if mode == "ids" else read_video(target)[0])
    assert 0 < count < FRAMES
    told = f"stopped; {count} frames of {source} are labeled, in {target}; `resume` goes on"
    assert str(error.value) == told

    if mode == "ids":
        hidden(target / "000009.png", 5071).touch()
        os.utime(hidden(target / "000009.png", 5071), (0, 0))
    segmenter = FakeSegmenter()
    assert predict_inputs(segmenter, [source], out, mode, resume=True) == [target]
    assert segmenter.frames == FRAMES - count
    (at_once,) = predict_inputs(FakeSegmenter(), [source], out / "at_once", mode)
    if mode == "ids":
        names = sorted(os.listdir(target))
        assert names == sorted(os.listdir(at_once)) and len(names) == FRAMES
        for name in names:
            assert (target / name).read_bytes() == (at_once / name).read_bytes()
    else:
        (found, rate), (expected, _) = read_video(target), read_video(at_once)
        assert (len(found), rate) == (FRAMES, RATE)
        assert np.abs(np.stack(found).astype(int) - np.stack(expected)).max() <= 4

    before = {path: path.stat().st_mtime_ns for path in out.rglob("*") if path.is_file()}
    segmenter = FakeSegmenter()
    assert predict_inputs(segmenter, [source], out, mode, resume=True) == [target]
    assert segmenter.frames == 0
    assert before == {path: path.stat().st_mtime_ns for path in before}


def test_stopped_images_resume(tmp_path, out, caplog):
    stop, many = Stop(), [save_image(tmp_path / f"{i}.png", i) for i in range(20)]
    with pytest.raises(Interrupted) as error:
        predict_inputs(Stopped(stop), many, out, "ids", stop=stop)
    count = len(list(out.iterdir()))
    assert 0 < count < 20
    told = f"stopped; {count} of 20 images are labeled, in {out}; `resume` goes on"
    assert str(error.value) == told
    segmenter = FakeSegmenter()
    targets = predict_inputs(segmenter, many, out, "ids", resume=True)
    assert segmenter.frames == 20 - count and caplog.messages == [
        f"passed over {count} images that have results"
    ]
    for source, target in zip(many, targets, strict=True):
        assert np.array_equal(read_labels(target), read_image(source)[..., 0] // 64)
    assert predict_inputs(segmenter, many, out, "ids", resume=True) == targets
    report = Report(tmp_path / "a.json", "x")
    with pytest.raises(UsageError, match="`resume`: what `json` tells of is labeled in one call"):
        predict_inputs(segmenter, many, out, "ids", report=report, resume=True)


def test_a_video_is_not_added_to_another(tmp_path, out):
    source = save_video(tmp_path / "drive.mp4")
    out.mkdir(parents=True)
    with video_file(out / "drive.mp4", RATE) as write:
        write(np.zeros((HEIGHT, WIDTH, 3), np.uint8))
    content = (out / "drive.mp4").read_bytes()
    with pytest.raises(AsapError, match=r"drive\.mp4: of another size or codec than what would"):
        predict_inputs(FakeSegmenter(), [source], out, legend=True, resume=True)
    assert (out / "drive.mp4").read_bytes() == content and len(os.listdir(out)) == 1
    (out / "drive.mp4").write_bytes(b"nonsense" * 99)
    with pytest.raises(AsapError, match=r"drive\.mp4: not a readable video.*; remove it to begin"):
        predict_inputs(FakeSegmenter(), [source], out, resume=True)


def test_a_damaged_video_makes_no_noise(tmp_path, out):
    (tmp_path / "bad.mp4").write_bytes(b"nonsense" * 99)
    script = (
        "import sys; from pathlib import Path; from asap_tf.inference.files import predict_inputs\n"
        "from types import SimpleNamespace as Model\n"
        "try: predict_inputs(Model(classes=[]), [Path(sys.argv[1])], Path(sys.argv[2]))\n"
        "except Exception as error: print(error)"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "bad.mp4"), str(out)]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "not a readable video" in result.stdout and result.stderr == ""


@pytest.mark.parametrize("mode", ["overlay", "color", "ids"])
def test_an_error_of_the_model_ends_the_video_and_leaves_nothing(tmp_path, out, mode):
    source = save_video(tmp_path / "drive.mp4")
    threads = threading.active_count()
    with pytest.raises(RuntimeError, match="out of memory"):
        predict_inputs(FakeSegmenter(fails_at=10), [source], out, mode)
    assert os.listdir(out) == [] and threading.active_count() == threads


@pytest.mark.parametrize("mode", ["overlay", "color", "ids"])
def test_a_full_disk_leaves_no_partial_file(tmp_path, out, mode):
    resource = pytest.importorskip("resource", reason="needs a limit on the size of files")
    if mode == "ids":
        rng = np.random.default_rng(0)
        source = tmp_path / "big.png"
        write_image(source, rng.integers(0, 256, (400, 400, 3), dtype=np.uint8))
    else:
        source = save_video(tmp_path / "drive.mp4", noise=True)
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    # The size limit of this process stands for the disk: writes beyond it fail in the same way.
    resource.setrlimit(resource.RLIMIT_FSIZE, (4500, limit[1]))
    try:
        with pytest.raises(AsapError, match=r"(big\.png|drive\.mp4): cannot be written"):
            predict_inputs(FakeSegmenter(), [source], out, mode)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    assert os.listdir(out) == []


def test_real_clips_and_stills(real_data, out):
    source = real_data / "dashcam"
    if not source.is_dir():
        pytest.skip(f"no folder {source}")
    clip = source / "highway_1280x720.mp4"
    segmenter = FakeSegmenter()
    video, still = predict_inputs(segmenter, [clip, source / "test1.jpg"], out)
    frames, rate = read_video(video)
    originals, original_rate = read_video(clip)
    assert len(frames) == len(originals) == segmenter.frames - 1 and rate == original_rate
    assert frames[0].shape == originals[0].shape
    assert read_image(still).shape == read_image(source / "test1.jpg").shape
    for index in (0, len(frames) // 2, len(frames) - 1):
        colors = FakeSegmenter.palette[originals[index][..., 0] // 64]
        assert np.abs(frames[index] - (originals[index] / 2 + colors / 2)).mean() < 8
