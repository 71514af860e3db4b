from __future__ import annotations

import math
import os

import cv2
import numpy as np
import pytest

from asap_tf.core.errors import AsapError
from asap_tf.data import video
from asap_tf.data.video import DEFAULT_RATE, open_video, png_folder, video_file


def pictures(count: int, height: int, width: int) -> np.ndarray:
    """Solid pictures, each brighter than the one before, RGB of a clear order of channels."""
    levels = np.linspace(0, 200, count).astype(np.uint8)
    return levels[:, None, None, None] + np.array([50, 25, 0], np.uint8) * np.ones(
        (count, height, width, 1), np.uint8
    )


@pytest.mark.parametrize("rate", [12.5, 30000 / 1001, 0.0, math.nan])
def test_a_video_is_read_as_it_was_written(tmp_path, rate):
    written = pictures(9, 32, 48)
    with video_file(tmp_path / "a.mp4", rate) as write:
        for picture in written:
            write(picture)
        assert not (tmp_path / "a.mp4").exists()
    with open_video(tmp_path / "a.mp4") as capture:
        assert capture.get(cv2.CAP_PROP_FPS) == pytest.approx(
            rate if rate > 0 else DEFAULT_RATE, 1e-4
        )
        for picture in written:
            found, frame = capture.read()
            assert found and frame.shape == (32, 48, 3)
            assert np.abs(frame[..., ::-1].astype(int) - picture).mean() < 5
        assert not capture.read()[0]


def test_odd_sizes_lose_their_last_row_and_column(tmp_path):
    with video_file(tmp_path / "a.mp4", 10) as write:
        write(pictures(1, 33, 49)[0])
    with open_video(tmp_path / "a.mp4") as capture:
        assert capture.read()[1].shape == (32, 48, 3)


def test_pictures_that_are_too_wide_do_not_blame_the_disk(tmp_path):
    with (
        pytest.raises(AsapError, match=r"a\.mp4: frames of 8192 x 16 pixels are too large"),
        video_file(tmp_path / "a.mp4", 10) as write,
    ):
        write(pictures(1, 16, 8192)[0])
    assert os.listdir(tmp_path) == []


def test_pictures_of_changing_size_are_an_error_and_leave_nothing(tmp_path):
    with (
        pytest.raises(AsapError, match=r"a\.mp4: cannot be written whole"),
        video_file(tmp_path / "a.mp4", 10) as write,
    ):
        write(pictures(1, 32, 48)[0])
        write(pictures(1, 64, 96)[0])
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("sink", [png_folder, lambda target: video_file(target, 10.0)])
def test_an_error_leaves_an_old_file_alone_and_nothing_beside_it(tmp_path, sink):
    (tmp_path / "a.mp4").write_text("old")
    with pytest.raises(RuntimeError, match="stop"), sink(tmp_path / "a.mp4") as write:
        write(pictures(1, 32, 48)[0])
        raise RuntimeError("stop")
    assert os.listdir(tmp_path) == ["a.mp4"]
    assert (tmp_path / "a.mp4").read_text() == "old"


def test_opening_leaves_the_log_level_of_others_alone(tmp_path):
    before = video._set_log_level(4)
    try:
        with pytest.raises(AsapError, match="not a readable"), open_video(tmp_path / "no.mp4"):
            pass
        assert video._set_log_level(4) == 4
    finally:
        video._set_log_level(before)
