from __future__ import annotations

import cv2
import numpy as np
import pytest
from PIL import Image

from asap_tf.core import resize as resizing
from asap_tf.core.resize import (
    resize_bilinear,
    resize_frame,
    resize_frames,
    resize_nearest,
    resized_bands,
)

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("size", [(20, 30), (7, 50), (12, 9)])
def test_frames_and_logits(size):
    frames = RNG.integers(0, 256, (2, 12, 16, 3), np.uint8)
    expected = [cv2.resize(frame, size[::-1], interpolation=cv2.INTER_LINEAR) for frame in frames]
    np.testing.assert_array_equal(resize_frames(frames, size), expected)
    out = np.zeros((*size, 3), np.uint8)
    resize_bilinear(frames[0], size, out)
    np.testing.assert_array_equal(out, expected[0])
    assert resize_bilinear(RNG.random((12, 16, 1), np.float32), size).shape == (*size, 1)


def test_every_pixel_of_a_larger_frame_counts():
    frame = RNG.integers(0, 256, (48, 96, 3), np.uint8)
    for halvings in (1, 2, 3):
        side = 2**halvings
        blocks = frame.reshape(48 // side, side, 96 // side, side, 3)
        found = resize_frame(frame, (48 // side, 96 // side))
        # Each of the halvings rounds.
        assert np.abs(found - blocks.mean((1, 3))).max() <= 0.5 * halvings
    # The mean of an area that is no whole number of pixels, and of one side alone.
    flat = cv2.resize(RNG.integers(40, 210, (3, 5, 3), np.uint8), (511, 301))
    noisy = cv2.add(flat, RNG.normal(0, 25, flat.shape), dtype=cv2.CV_8U)
    for size in ((60, 80), (300, 60), (70, 511)):
        mean = cv2.resize(flat, size[::-1], interpolation=cv2.INTER_AREA)
        assert np.abs(resize_frame(flat, size) - mean.astype(int)).mean() < 1
        left = np.std(resize_frame(noisy, size) - mean.astype(int))
        assert left < 0.8 * np.std(resize_bilinear(noisy, size) - mean.astype(int))


@pytest.mark.parametrize("size", [(24, 32), (6, 8), (7, 50)])
def test_labels_take_the_nearest_pixel(size):
    labels = RNG.integers(0, 19, (12, 16), np.uint8)
    expected = Image.fromarray(labels).resize(size[::-1], Image.Resampling.NEAREST)
    out = np.zeros(size, np.uint8)
    resize_nearest(labels, size, out)
    np.testing.assert_array_equal(out, expected)
    np.testing.assert_array_equal(resize_nearest(labels, size), expected)


def test_what_has_the_size_is_not_copied_unless_there_is_a_place_for_it():
    frames = RNG.integers(0, 256, (2, 12, 16, 3), np.uint8)
    assert resize_frames(frames, (12, 16)) is frames
    for resize, image in ((resize_bilinear, frames[0]), (resize_nearest, frames[0, ..., 0])):
        assert resize(image, (12, 16)) is image
        out = np.zeros_like(image)
        assert resize(image, (12, 16), out) is out
        np.testing.assert_array_equal(out, image)


@pytest.mark.parametrize("size", [(57, 81), (9, 100), (12, 31), (6, 7), (119, 16)])
def test_logits_in_bands_are_those_of_the_whole(monkeypatch, size):
    monkeypatch.setattr(resizing, "MOST_LOGITS", 0)
    monkeypatch.setattr(resizing, "_BAND", 5 * size[1] * 4)
    logits = RNG.normal(0, 9, (12, 16, 5)).astype(np.float32)
    whole = cv2.resize(logits, size[::-1], interpolation=cv2.INTER_LINEAR)
    parts = [(rows.stop - rows.start, part) for rows, part in resized_bands(logits, size)]
    assert all(len(part) == count <= 4 for count, part in parts) or size[0] == 12
    np.testing.assert_array_equal(np.concatenate([part for _, part in parts]), whole)
