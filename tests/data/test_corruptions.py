from __future__ import annotations

import colorsys
import math

import cv2
import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from asap_tf.data.corruptions import CORRUPTIONS, corrupt


def smooth(seed: int = 0, size=(96, 128)) -> np.ndarray:
    """A frame of soft shapes in all colors, uint8."""
    coarse = np.random.default_rng(seed).uniform(0, 1, (7, 9, 3))
    return np.rint(255 * np.clip(cv2.resize(coarse, size[::-1]), 0, 1)).astype(np.uint8)


def corrupted(image: np.ndarray, name: str, severity: int, seed: int = 0) -> np.ndarray:
    """Of 0..1."""
    return corrupt(image, name, severity, np.random.default_rng(seed)) / 255


def gray(level: int, size=(200, 200)) -> np.ndarray:
    return np.full((*size, 3), level, np.uint8)


def point(size=121) -> np.ndarray:
    image = gray(0, (size, size))
    image[size // 2, size // 2] = 255
    return image


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_every_corruption_is_seeded_and_worse_with_severity(name):
    image = smooth()
    before = image.copy()
    errors = []
    for severity in range(1, 6):
        found = corrupt(image, name, severity, np.random.default_rng(3))
        assert (found.shape, found.dtype) == (image.shape, np.uint8)
        again = corrupt(image, name, severity, np.random.default_rng(3))
        np.testing.assert_array_equal(found, again)
        errors.append(np.abs(found - image.astype(float)).mean())
    np.testing.assert_array_equal(image, before)
    # Saturation is taken away by the first two and added by the others.
    first, last = (errors[2], errors[4]) if name == "saturation" else (errors[0], errors[4])
    assert 0 < first < last


@pytest.mark.parametrize(
    ("name", "severity", "level", "deviation"),
    [
        ("gaussian noise", 1, 128, 0.08),
        ("gaussian noise", 2, 128, 0.12),
        ("speckle noise", 3, 102, 0.35 * 0.4),
        ("shot noise", 2, 102, math.sqrt(0.4 / 25)),
    ],
)
def test_noise_has_the_deviation_of_the_paper(name, severity, level, deviation):
    found = corrupted(gray(level), name, severity)
    assert found.std() == pytest.approx(deviation, rel=0.03)
    assert found.mean() == pytest.approx(level / 255, abs=0.01)


def test_impulse_noise_is_salt_and_pepper():
    found = corrupted(gray(128), "impulse noise", 4)
    for value in (0, 1):
        assert np.mean(found == value) == pytest.approx(0.17 / 2, rel=0.05)
    assert np.isin(found, (0, 1, 128 / 255)).all()


def test_blurs():
    image = smooth()
    expected = gaussian_filter(image / 255, (3, 3, 0), mode="mirror")
    assert np.abs(corrupted(image, "gaussian blur", 3) - expected).max() < 0.01
    disk = corrupt(point(), "defocus blur", 3, np.random.default_rng(0))[..., 0]
    y, x = np.nonzero(disk > 0.5 * disk.max())
    assert len(y) == pytest.approx(math.pi * 6**2, rel=0.1)
    assert np.hypot(y - 60, x - 60).max() <= 7


def test_motion_blur_is_a_line_that_fades():
    for seed in range(5):
        line = corrupted(point(), "motion blur", 2, seed)[..., 1]
        y, x = np.nonzero(line)
        distance = np.hypot(y - 60, x - 60)
        far = distance.argmax()
        angle = math.atan2(60 - y[far], 60 - x[far])
        assert abs(angle) <= math.radians(46)
        off = np.abs((y - 60) * math.cos(angle) - (x - 60) * math.sin(angle))
        assert off.max() <= 1.5
        assert line.sum() == pytest.approx(1, abs=0.05)
        weights = np.exp(-(np.arange(31) ** 2) / (2 * 5**2))
        expected = (weights * np.arange(31)).sum() / weights.sum()
        assert (line[y, x] * distance).sum() == pytest.approx(expected, abs=0.5)


def test_glass_takes_pixels_from_close_by():
    ramp = np.repeat(np.arange(20, 220, dtype=np.uint8)[np.newaxis, :, np.newaxis], 60, 0)
    image = np.repeat(ramp, 3, -1)
    moved = np.abs(corrupt(image, "glass blur", 4, np.random.default_rng(0)) - image.astype(int))
    assert 0 < moved.mean() and moved.max() <= 2 * 3 + 2


@pytest.mark.parametrize(
    ("name", "severity", "change"),
    [
        ("brightness", 2, lambda h, s, v: (h, s, v + 0.2)),
        ("saturation", 1, lambda h, s, v: (h, 0.3 * s, v)),
        ("saturation", 4, lambda h, s, v: (h, 5 * s + 0.1, v)),
    ],
)
def test_colors_against_colorsys(name, severity, change):
    image = smooth(1, (12, 16))
    for pixel, found in zip(
        image.reshape(-1, 3) / 255, corrupted(image, name, severity).reshape(-1, 3), strict=True
    ):
        hue, saturation, value = change(*colorsys.rgb_to_hsv(*pixel))
        expected = colorsys.hsv_to_rgb(hue, min(saturation, 1), min(value, 1))
        np.testing.assert_allclose(found, expected, atol=2 / 255)


def test_contrast_pixelation_and_jpeg():
    image = smooth()
    mean = (image / 255).mean(axis=(0, 1))
    expected = mean + 0.1 * (image / 255 - mean)
    np.testing.assert_allclose(corrupted(image, "contrast", 4), expected, atol=1 / 255)
    blocks = (image / 255).reshape(24, 4, 32, 4, 3).mean(axis=(1, 3))
    expected = np.kron(blocks, np.ones((4, 4, 1)))
    np.testing.assert_allclose(corrupted(image, "pixelation", 5), expected, atol=1 / 255)
    _, file = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 10])
    expected = cv2.imdecode(file, cv2.IMREAD_COLOR)[..., ::-1] / 255
    assert np.abs(corrupted(image, "JPEG", 4) - expected).mean() < 0.01


def test_fog_and_snow():
    found = corrupted(gray(204), "fog", 2)
    # x + 2 * fog, of 0..1, with the frame's brightest pixel kept.
    assert found.min() == pytest.approx(0.8 * 0.8 / 2.8, abs=0.01)
    assert found.max() == pytest.approx(0.8, abs=0.01)
    assert np.abs(np.diff(found, axis=1)).max() < 0.2
    found = corrupted(gray(0), "snow", 1)
    assert found.min() == pytest.approx(0.2 * 0.5, abs=0.01)
    assert 0.001 < np.mean(found > 0.3) < 0.5
