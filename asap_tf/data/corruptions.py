"""Corruptions of frames that networks should bear: noise, blur, weather, and what files do to them.

Kinds and severities are those of Hendrycks & Dietterich 2019, "Benchmarking Neural Network
Robustness to Common Corruptions and Perturbations", in their own parameters, at the frame's own
resolution. Left out are those that move what the labels stand for (zoom, elastic transform, as in
Kamann & Rother 2020, "Benchmarking the Robustness of Semantic Segmentation Models"), and frost and
spatter. Fog is fractal noise of octaves in place of midpoint displacement; glass takes each pixel
from a place close by in place of swapping them one after the other.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
from PIL import Image

SEVERITIES = 5

Rng = np.random.Generator


def corrupt(image: np.ndarray, name: str, severity: int, rng: Rng) -> np.ndarray:
    """A corrupted frame.

    Args:
        image: uint8 `(H, W, 3)`, RGB.
        name: Key of `CORRUPTIONS`.
        severity: 1..`SEVERITIES`.
        rng: Source of all that is random.

    Returns:
        uint8 `(H, W, 3)`, RGB.

    Examples:
        >>> corrupt(frame, "fog", 3, np.random.default_rng(0))
    """
    function, amounts = CORRUPTIONS[name]
    x = function(image.astype(np.float32) / 255, amounts[severity - 1], rng)
    return np.rint(255 * np.clip(x, 0, 1)).astype(np.uint8)


def _gaussian_noise(x: np.ndarray, scale: float, rng: Rng) -> np.ndarray:
    return x + rng.normal(0, scale, x.shape)


def _shot_noise(x: np.ndarray, photons: float, rng: Rng) -> np.ndarray:
    return rng.poisson(x * photons) / photons


def _impulse_noise(x: np.ndarray, share: float, rng: Rng) -> np.ndarray:
    return np.where(rng.random(x.shape) < share, rng.integers(0, 2, x.shape), x)


def _speckle_noise(x: np.ndarray, scale: float, rng: Rng) -> np.ndarray:
    return x + x * rng.normal(0, scale, x.shape)


def _gaussian_blur(x: np.ndarray, sigma: float, rng: Rng) -> np.ndarray:
    return cv2.GaussianBlur(x, (0, 0), sigma)


def _defocus_blur(x: np.ndarray, amount: tuple[int, float], rng: Rng) -> np.ndarray:
    radius, soft = amount
    reach = radius + 2
    around = np.arange(-reach, reach + 1)
    disk = (around**2 + around[:, np.newaxis] ** 2 <= radius**2).astype(np.float32)
    size = (3, 3) if radius <= 8 else (5, 5)
    return cv2.filter2D(x, -1, cv2.GaussianBlur(disk / disk.sum(), size, soft))


def _glass_blur(x: np.ndarray, amount: tuple[float, int, int], rng: Rng) -> np.ndarray:
    sigma, reach, times = amount
    x, size = _gaussian_blur(x, sigma, rng), x.shape[:2]
    for _ in range(times):
        rows, columns = (
            np.clip(place + rng.integers(-reach, reach, size), 0, limit - 1)
            for place, limit in zip(np.indices(size), size, strict=True)
        )
        x = x[rows, columns]
    return _gaussian_blur(x, sigma, rng)


def _motion_blur(x: np.ndarray, amount: tuple[int, float], rng: Rng) -> np.ndarray:
    return _dragged(x, *amount, rng.uniform(-45, 45))


def _fog(x: np.ndarray, amount: tuple[float, float], rng: Rng) -> np.ndarray:
    density, decay = amount
    height, width = x.shape[:2]
    side = max(height, width)
    fog = np.zeros((height, width), np.float32)
    for octave in range(side.bit_length()):
        noise = rng.uniform(-1, 1, (2**octave + 1, 2**octave + 1)).astype(np.float32)
        fog += cv2.resize(noise, (side, side))[:height, :width] * decay ** (-2 * octave)
    fog = (fog - fog.min()) / np.ptp(fog)
    return (x + density * fog[..., np.newaxis]) * x.max() / (x.max() + density)


def _snow(x: np.ndarray, amount: tuple[float, ...], rng: Rng) -> np.ndarray:
    mean, scale, zoom, least, radius, sigma, share = amount
    height, width = x.shape[:2]
    small = (int(np.ceil(height / zoom)), int(np.ceil(width / zoom)))
    flakes = cv2.resize(rng.normal(mean, scale, small), (width, height))
    flakes = np.where(flakes < least, 0, np.clip(flakes, 0, 1)).astype(np.float32)
    flakes = _dragged(flakes, int(radius), sigma, rng.uniform(-135, -45))
    gray = cv2.cvtColor(x, cv2.COLOR_RGB2GRAY)[..., np.newaxis]
    whitened = share * x + (1 - share) * np.maximum(x, 1.5 * gray + 0.5)
    return whitened + (flakes + flakes[::-1, ::-1])[..., np.newaxis]


def _brightness(x: np.ndarray, more: float, rng: Rng) -> np.ndarray:
    return _in_hsv(x, lambda hue, saturation, value: (hue, saturation, value + more))


def _saturate(x: np.ndarray, amount: tuple[float, float], rng: Rng) -> np.ndarray:
    factor, more = amount
    return _in_hsv(x, lambda hue, saturation, value: (hue, saturation * factor + more, value))


def _contrast(x: np.ndarray, factor: float, rng: Rng) -> np.ndarray:
    mean = x.mean(axis=(0, 1))
    return (x - mean) * factor + mean


def _pixelate(x: np.ndarray, factor: float, rng: Rng) -> np.ndarray:
    image = Image.fromarray(np.rint(255 * x).astype(np.uint8))
    small = image.resize(
        (int(image.width * factor), int(image.height * factor)), Image.Resampling.BOX
    )
    return np.asarray(small.resize(image.size, Image.Resampling.NEAREST)) / np.float32(255)


def _jpeg(x: np.ndarray, quality: int, rng: Rng) -> np.ndarray:
    file = io.BytesIO()
    Image.fromarray(np.rint(255 * x).astype(np.uint8)).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file)) / np.float32(255)


def _dragged(x: np.ndarray, radius: int, sigma: float, degrees: float) -> np.ndarray:
    """A frame under a camera that moves in a straight line, ever faster."""
    reach = 2 * radius
    steps = np.arange(reach + 1)
    angle = np.deg2rad(degrees)
    kernel = np.zeros((2 * reach + 1, 2 * reach + 1), np.float32)
    rows = reach + np.rint(steps * np.sin(angle)).astype(int)
    columns = reach + np.rint(steps * np.cos(angle)).astype(int)
    np.add.at(kernel, (rows, columns), np.exp(-(steps**2) / (2 * sigma**2)))
    return cv2.filter2D(x, -1, kernel / kernel.sum(), borderType=cv2.BORDER_REPLICATE)


def _in_hsv(x: np.ndarray, change: Callable[..., tuple[np.ndarray, ...]]) -> np.ndarray:
    """A frame whose hue (0..360), saturation and value (0..1) are changed."""
    hue, saturation, value = change(*cv2.split(cv2.cvtColor(x, cv2.COLOR_RGB2HSV)))
    hsv = cv2.merge([hue, np.clip(saturation, 0, 1), np.clip(value, 0, 1)])
    return cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)


CORRUPTIONS: dict[str, tuple[Callable[[np.ndarray, Any, Rng], np.ndarray], tuple[Any, ...]]] = {
    "gaussian noise": (_gaussian_noise, (0.08, 0.12, 0.18, 0.26, 0.38)),
    "shot noise": (_shot_noise, (60, 25, 12, 5, 3)),
    "impulse noise": (_impulse_noise, (0.03, 0.06, 0.09, 0.17, 0.27)),
    "speckle noise": (_speckle_noise, (0.15, 0.2, 0.35, 0.45, 0.6)),
    "gaussian blur": (_gaussian_blur, (1, 2, 3, 4, 6)),
    "defocus blur": (_defocus_blur, ((3, 0.1), (4, 0.5), (6, 0.5), (8, 0.5), (10, 0.5))),
    "glass blur": (_glass_blur, ((0.7, 1, 2), (0.9, 2, 1), (1, 2, 3), (1.1, 3, 2), (1.5, 4, 2))),
    "motion blur": (_motion_blur, ((10, 3), (15, 5), (15, 8), (15, 12), (20, 15))),
    "fog": (_fog, ((1.5, 2), (2, 2), (2.5, 1.7), (2.5, 1.5), (3, 1.4))),
    "snow": (
        _snow,
        (
            (0.1, 0.3, 3, 0.5, 10, 4, 0.8),
            (0.2, 0.3, 2, 0.5, 12, 4, 0.7),
            (0.55, 0.3, 4, 0.9, 12, 8, 0.7),
            (0.55, 0.3, 4.5, 0.85, 12, 8, 0.65),
            (0.55, 0.3, 2.5, 0.85, 12, 12, 0.55),
        ),
    ),
    "brightness": (_brightness, (0.1, 0.2, 0.3, 0.4, 0.5)),
    "contrast": (_contrast, (0.4, 0.3, 0.2, 0.1, 0.05)),
    "saturation": (_saturate, ((0.3, 0), (0.1, 0), (2, 0), (5, 0.1), (20, 0.2))),
    "pixelation": (_pixelate, (0.6, 0.5, 0.4, 0.3, 0.25)),
    "JPEG": (_jpeg, (25, 18, 15, 10, 7)),
}
"""Functions of a frame, float32 `(H, W, 3)` of 0..1, and their amounts by severity."""
