from __future__ import annotations

import os
import subprocess
import sys
import threading

import numpy as np
import pytest

from asap_tf.core.errors import AsapError, Interrupted
from asap_tf.core.signals import Stop
from asap_tf.data.images import read_image, write_image
from asap_tf.inference.files import predict_inputs
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


@pytest.mark.parametrize("mode", ["color", "ids"])
def test_a_stop_keeps_what_was_labeled(tmp_path, out, mode):
    class Stopped(FakeSegmenter):
        def predict(self, frames):
            if self.frames == 7:
                stop.requested = 2
            return super().predict(frames)

    stop = Stop()
    source = save_video(tmp_path / "drive.mp4")
    with pytest.raises(Interrupted) as error:
        predict_inputs(Stopped(), [source], out, mode, stop=stop)
    (target,) = out.iterdir()
    count = len(list(target.iterdir()) if mode == "ids" else read_video(target)[0])
    assert 0 < count < FRAMES
    assert str(error.value) == f"stopped; {count} frames of {source} are labeled, in {target}"

    stop, many = Stop(), [save_image(tmp_path / f"{i}.png", i) for i in range(20)]
    with pytest.raises(Interrupted) as error:
        predict_inputs(Stopped(), many, out / "images", mode, stop=stop)
    count = len(list((out / "images").iterdir()))
    assert 0 < count < 20
    assert str(error.value) == f"stopped; {count} of 20 images are labeled, in {out / 'images'}"


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
