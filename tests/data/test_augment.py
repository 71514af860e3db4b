from __future__ import annotations

import colorsys
import io
from collections import Counter
from dataclasses import replace

import cv2
import numpy as np
import pytest
from PIL import Image, ImageEnhance

from asap_tf.data.augment import (
    MEAN_COLOR,
    Augmentation,
    add_noise,
    adjust_brightness,
    adjust_contrast,
    adjust_saturation,
    blur,
    compress,
    shift_hue,
)

# Corners of the color cube: far from each other and from the mean color.
PALETTE = np.uint8([[255 * (i >> 2), 255 * (i >> 1 & 1), 255 * (i & 1)] for i in range(8)])


def blocks(height: int = 96, width: int = 144, size: int = 16) -> tuple[np.ndarray, np.ndarray]:
    """A mask of random blocks, and an image that spells it in colors."""
    coarse = np.random.default_rng(7).integers(0, 8, (height // size, width // size))
    mask = np.kron(coarse, np.ones((size, size))).astype(np.uint8)
    return PALETTE[mask], mask


def interior(mask: np.ndarray, margin: int = 2) -> np.ndarray:
    """Pixels all of whose neighbors carry the same label."""
    kernel = np.ones((2 * margin + 1, 2 * margin + 1), np.uint8)
    return cv2.dilate(mask, kernel) == cv2.erode(mask, kernel)


def spelled(image: np.ndarray) -> np.ndarray:
    """The label of the nearest color, 255 for the padding's."""
    colors = np.vstack([PALETTE, np.uint8([MEAN_COLOR])]).astype(int)
    distance = ((image[:, :, None].astype(int) - colors) ** 2).sum(-1)
    return np.append(np.arange(8), 255)[distance.argmin(-1)]


@pytest.mark.parametrize(
    "augmentation",
    [
        Augmentation(crop=(72, 108), scales=(0.75,), flip=False),
        Augmentation(crop=(192, 288), scales=(2.0,), flip=False),
        Augmentation(crop=(50, 70), scales=(1.0,), flip=False),
        Augmentation(crop=(96, 144), scales=(1.0,), flip=True),
        Augmentation(crop=(128, 160), scales=(0.5, 1.0), flip=False),
        Augmentation(crop=(100, 130), scales=(0.4, 0.75, 1.0, 1.5, 1.75, 2.0), flip=True),
        Augmentation(
            (100, 130), brightness=0.1, contrast=0.1, saturation=0.1, hue=0.02, scales=(0.7, 1.6)
        ),
    ],
    ids=["shrink", "enlarge", "crop", "flip", "pad", "all", "all with jitter"],
)
def test_image_and_label_move_together(augmentation: Augmentation) -> None:
    image, mask = blocks()
    before = image.copy(), mask.copy()
    results = set()
    for seed in range(40):
        moved, labels = augmentation(image, mask, np.random.default_rng(seed))
        assert moved.shape == (*augmentation.crop, 3) and moved.dtype == np.uint8
        assert labels.shape == augmentation.crop and labels.dtype == np.uint8
        padded = labels == 255
        assert (moved[padded] == MEAN_COLOR).all()
        inside = interior(labels)
        assert inside.mean() > 0.3
        assert (spelled(moved)[inside] == labels[inside]).mean() >= 0.99
        results.add(labels.tobytes())
    # Where there is a choice, the seeds must not all have made the same.
    fixed = not augmentation.flip and len(augmentation.scales) == 1 and 1 != augmentation.scales[0]
    assert (len(results) == 1) == fixed
    np.testing.assert_array_equal(image, before[0])
    np.testing.assert_array_equal(mask, before[1])


def test_a_crop_is_a_window_of_the_frame_at_every_offset() -> None:
    image = np.random.default_rng(0).integers(0, 256, (7, 8, 3), dtype=np.uint8)
    mask = np.arange(56, dtype=np.uint8).reshape(7, 8)
    augment = Augmentation(crop=(5, 6), scales=(1.0,), flip=False)
    offsets = Counter()
    for seed in range(400):
        moved, labels = augment(image, mask, np.random.default_rng(seed))
        top, left = divmod(int(labels[0, 0]), 8)
        np.testing.assert_array_equal(labels, mask[top : top + 5, left : left + 6])
        np.testing.assert_array_equal(moved, image[top : top + 5, left : left + 6])
        offsets[top, left] += 1
    assert len(offsets) == 9
    assert min(offsets.values()) > 20


def test_a_smaller_frame_lies_anywhere_in_the_crop_and_the_rest_is_padding() -> None:
    image = np.random.default_rng(0).integers(0, 256, (4, 5, 3), dtype=np.uint8)
    mask = np.arange(20, dtype=np.uint8).reshape(4, 5)
    augment = Augmentation(crop=(6, 6), scales=(1.0,), flip=False)
    offsets = set()
    for seed in range(100):
        moved, labels = augment(image, mask, np.random.default_rng(seed))
        (top, left) = (int(i[0]) for i in np.nonzero(labels == 0))
        expected_image, expected = np.empty((6, 6, 3), np.uint8), np.full((6, 6), 255)
        expected_image[:] = MEAN_COLOR
        expected_image[top : top + 4, left : left + 5] = image
        expected[top : top + 4, left : left + 5] = mask
        np.testing.assert_array_equal(moved, expected_image)
        np.testing.assert_array_equal(labels, expected)
        offsets.add((top, left))
    assert offsets == {(top, left) for top in range(3) for left in range(2)}


def test_a_flip_mirrors_half_of_the_frames() -> None:
    image, mask = blocks()
    augment = Augmentation(crop=mask.shape, scales=(1.0,))
    flipped = 0
    for seed in range(200):
        moved, labels = augment(image, mask, np.random.default_rng(seed))
        mirrored = not np.array_equal(labels, mask)
        flipped += mirrored
        step = -1 if mirrored else 1
        np.testing.assert_array_equal(moved, image[:, ::step])
        np.testing.assert_array_equal(labels, mask[:, ::step])
    assert 70 < flipped < 130


@pytest.mark.parametrize("scale", [1.5, 1.75, 2.0, 0.75])
def test_scaling_against_a_sampling_pixel_by_pixel(scale: float) -> None:
    rng = np.random.default_rng(0)
    # Smooth, so that what the low-pass before shrinking takes out does not count.
    image = cv2.GaussianBlur(rng.integers(0, 256, (40, 60, 3), dtype=np.uint8), (0, 0), 4)
    image = cv2.normalize(image, None, 0, 255, cv2.NORM_MINMAX)
    mask = rng.integers(0, 19, (40, 60), dtype=np.uint8)
    height, width = round(40 * scale), round(60 * scale)
    augment = Augmentation(crop=(height, width), scales=(scale,), flip=False)
    moved, labels = augment(image, mask, rng)
    y = (np.arange(height) + 0.5) * 40 / height - 0.5
    x = (np.arange(width) + 0.5) * 60 / width - 0.5
    for i in range(height):
        for j in range(width):
            if abs(y[i] % 1 - 0.5) > 0.05 and abs(x[j] % 1 - 0.5) > 0.05:
                assert labels[i, j] == mask[round(y[i]), round(x[j])]
            y0, x0 = int(np.floor(y[i])), int(np.floor(x[j]))
            wy, wx = y[i] - y0, x[j] - x0
            corners = image[np.ix_(np.clip([y0, y0 + 1], 0, 39), np.clip([x0, x0 + 1], 0, 59))]
            expected = np.einsum("y,x,yxc->c", [1 - wy, wy], [1 - wx, wx], corners)
            assert np.abs(moved[i, j] - expected).max() < (4 if scale > 1 else 8)


def test_shrinking_does_not_alias() -> None:
    # Stripes of one pixel are gray from afar; sampled bluntly they beat between black and white.
    image = np.zeros((100, 100, 3), np.uint8)
    image[:, ::2] = 255
    augment = Augmentation(crop=(35, 35), scales=(0.35,), flip=False)
    shrunk, _ = augment(image, np.zeros((100, 100), np.uint8), np.random.default_rng(0))
    assert np.abs(shrunk[:, 1:-1].astype(int) - 127).max() < 10


def photo() -> np.ndarray:
    rng = np.random.default_rng(3)
    return cv2.resize(rng.integers(0, 256, (9, 12, 3), dtype=np.uint8), (60, 45))


@pytest.mark.parametrize("factor", [0.0, 0.4, 0.9, 1.0, 1.3, 2.0])
@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (adjust_brightness, ImageEnhance.Brightness),
        (adjust_contrast, ImageEnhance.Contrast),
        (adjust_saturation, ImageEnhance.Color),
    ],
)
def test_jitter_against_pillow(ours, theirs, factor: float) -> None:
    expected = np.asarray(theirs(Image.fromarray(photo())).enhance(factor)).astype(int)
    # Pillow rounds the gray level to a whole number first and cuts the decimals after.
    assert np.abs(ours(photo(), factor) - expected).max() <= 2


@pytest.mark.parametrize("turn", [-0.5, -0.1, 0.0, 0.05, 0.25, 0.5])
def test_hue_against_colorsys(turn: float) -> None:
    image = photo()
    shifted = shift_hue(image, turn)
    for before, after in zip(image.reshape(-1, 3), shifted.reshape(-1, 3), strict=True):
        hue, saturation, value = colorsys.rgb_to_hsv(*(before / 255))
        expected = np.array(colorsys.hsv_to_rgb((hue + turn) % 1, saturation, value)) * 255
        assert np.abs(after - expected).max() <= 1


@pytest.mark.parametrize("name", ["brightness", "contrast", "saturation"])
def test_factors_are_uniform_around_one(name: str) -> None:
    ramp = np.repeat(np.arange(60, 120, dtype=np.uint8)[None, :, None], 3, axis=2)
    ramp = ramp + np.uint8([0, 10, 30])
    augment = Augmentation(crop=(1, 60), scales=(1.0,), flip=False, **{name: 0.3})

    def measure(image: np.ndarray) -> float:
        image = image.astype(float)
        return {
            "brightness": image.mean(),
            "contrast": image[0, :, 0].std(),
            "saturation": np.ptp(image, axis=-1).mean(),
        }[name]

    mask = np.zeros((1, 60), np.uint8)
    factors = [
        measure(augment(ramp, mask, np.random.default_rng(seed))[0]) / measure(ramp)
        for seed in range(300)
    ]
    assert min(factors) == pytest.approx(0.7, abs=0.04)
    assert max(factors) == pytest.approx(1.3, abs=0.04)
    assert np.mean(factors) == pytest.approx(1, abs=0.05)


def test_the_generator_determines_everything() -> None:
    image, mask = blocks()
    augment = Augmentation((64, 64), brightness=0.5, contrast=0.5, saturation=0.5, hue=0.1)
    first, again, other = (augment(image, mask, np.random.default_rng(s)) for s in (1, 1, 2))
    np.testing.assert_array_equal(first[0], again[0])
    np.testing.assert_array_equal(first[1], again[1])
    assert not np.array_equal(first[0], other[0])


def test_blur_against_a_convolution() -> None:
    image, _ = blocks(32, 48)
    ours = blur(image, 1.5).astype(float)
    weights = np.exp(-(np.arange(-5, 6) ** 2) / (2 * 1.5**2))
    theirs = image.astype(float)
    for axis in (0, 1):
        padded = np.pad(theirs, [(5, 5) if a == axis else (0, 0) for a in range(3)], "reflect")
        windows = np.lib.stride_tricks.sliding_window_view(padded, 11, axis)
        theirs = windows @ weights / weights.sum()
    np.testing.assert_allclose(ours, theirs, atol=1.5)
    assert blur(image, 0) is image


def test_noise_is_gaussian_in_every_channel() -> None:
    gray = np.full((200, 300, 3), 128, np.uint8)
    noise = add_noise(gray, 6.0, np.random.default_rng(0)).astype(float) - 128
    np.testing.assert_allclose(noise.mean((0, 1)), 0, atol=0.1)
    np.testing.assert_allclose(noise.std((0, 1)), 6, atol=0.1)
    assert abs(np.corrcoef(noise[..., 0].ravel(), noise[..., 1].ravel())[0, 1]) < 0.02
    bright = add_noise(np.full((50, 50, 3), 255, np.uint8), 6.0, np.random.default_rng(0))
    assert bright.min() > 200


@pytest.mark.parametrize("quality", [10, 50, 95])
def test_compression_against_pillow(quality: int) -> None:
    ramp = np.linspace(0, 255, 96)
    image = np.stack([ramp[:64, None] + 0 * ramp, 0 * ramp[:64, None] + ramp], -1)
    image = np.dstack([image, image[..., :1] // 3 + 40]).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=quality)
    theirs = np.asarray(Image.open(file), float)
    assert np.abs(compress(image, quality) - theirs).mean() < 1.5


def test_a_frame_that_is_degraded_is_the_same_window_of_the_same_mask() -> None:
    image, mask = blocks()
    clean = Augmentation((64, 96), scales=(0.75, 1.0, 1.5), brightness=0.2, hue=0.05)
    changed = 0
    for amounts in ({"blur": 2.0}, {"noise": 10.0}, {"jpeg": 70.0}):
        rough = replace(clean, **amounts)
        for seed in range(10):
            frame, labels = clean(image, mask, np.random.default_rng(seed))
            other, others = rough(image, mask, np.random.default_rng(seed))
            np.testing.assert_array_equal(labels, others)
            difference = np.abs(frame[labels != 255].astype(int) - other[labels != 255])
            np.testing.assert_array_equal(frame[labels == 255], other[labels == 255])
            assert difference.mean() < 30
            changed += difference.any()
    assert changed > 25
