"""Random scale, crop, flip, colors and sharpness, applied to a frame and its mask together."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

import cv2
import numpy as np

from asap_tf.core.labels import IGNORE_LABEL

MEAN_COLOR = (124, 116, 104)
"""The mean color of ImageNet, RGB 0..255: about zero after the network's normalization."""

_QUANTILES = np.array([NormalDist().inv_cdf((i + 0.5) / 256) for i in range(256)])

_GRAY = np.array([0.299, 0.587, 0.114], np.float32)


@dataclass(frozen=True)
class Augmentation:
    """The paper's augmentation: random scale, crop, horizontal flip and color jitter.

    Frame and mask go through one and the same affine map, the frame with bilinear and the mask
    with nearest sampling; only the window that the crop shows is sampled. Where the scaled frame
    is smaller than the crop, the rest is `MEAN_COLOR` in the frame and 255 in the mask.

    Color jitter is defined as in torchvision's `ColorJitter`: the factors of brightness,
    contrast and saturation are uniform in `[max(0, 1 - x), 1 + x]`, the turn of the hue is uniform
    in `[-hue, hue]`, and the four come in random order. It sees the frame alone, not the padding.

    After it come blur, noise and JPEG, as in a camera, each by an amount that is uniform between
    nothing and the most; 0, the default, leaves it out. They make the sharp frames of one camera
    like the soft, dark or compressed ones of others.

    Attributes:
        crop: Height and width of the result, pixels.
        scales: One of these is picked for each frame.
        flip: Whether to mirror every other frame.
        brightness: At least 0.
        contrast: At least 0.
        saturation: At least 0.
        hue: In full turns of the color wheel, 0..0.5.
        blur: Largest standard deviation of a Gaussian, pixels of the result.
        noise: Largest standard deviation of Gaussian noise, levels of 0..255.
        jpeg: Largest loss of JPEG's quality, 0..99, of 100.

    Examples:
        >>> augment = Augmentation(crop=(512, 1024), brightness=0.3)
        >>> image, mask = augment(image, mask, np.random.default_rng(0))
        >>> image.shape, mask.shape
        ((512, 1024, 3), (512, 1024))
    """

    crop: tuple[int, int]
    scales: tuple[float, ...] = (0.75, 1.0, 1.5, 1.75, 2.0)
    flip: bool = True
    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0
    hue: float = 0.0
    blur: float = 0.0
    noise: float = 0.0
    jpeg: float = 0.0

    def __call__(
        self,
        image: np.ndarray,
        mask: np.ndarray,
        rng: np.random.Generator,
        pasted: tuple[np.ndarray, np.ndarray] | None = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Augment one pair; the result is determined by the state of `rng`.

        Args:
            image: uint8 `(H, W, 3)`, RGB; not changed.
            mask: uint8 `(H, W)`, train ids; not changed.
            rng: Source of all the randomness.
            pasted: Another pair, scaled, cropped and mirrored by itself. Its pixels with a label
                lie over the first one's, and get the same colors, blur and noise.

        Returns:
            Frame, uint8 `(*crop, 3)`, and mask, uint8 `crop`.
        """
        placed = self._place(image, mask, rng)
        if pasted is not None:
            placed.paste(self._place(*pasted, rng))
        placed.image = self._degrade(self._jitter(placed.image, rng), rng)
        return placed.padded()

    def _place(self, image: np.ndarray, mask: np.ndarray, rng: np.random.Generator) -> _Placed:
        scale = self.scales[rng.integers(len(self.scales))]
        rows = _Window.random(image.shape[0], scale, self.crop[0], rng)
        columns = _Window.random(image.shape[1], scale, self.crop[1], rng)
        mirror = self.flip and rng.random() < 0.5
        return _Placed(
            *_sample(_low_pass(image, scale), mask, rows, columns), rows, columns, mirror
        )

    def _jitter(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        amounts = (self.brightness, self.contrast, self.saturation)
        brightness, contrast, saturation = (rng.uniform(max(0, 1 - x), 1 + x) for x in amounts)
        turn = rng.uniform(-self.hue, self.hue)
        steps = [
            (self.brightness, adjust_brightness, brightness),
            (self.contrast, adjust_contrast, contrast),
            (self.saturation, adjust_saturation, saturation),
            (self.hue, shift_hue, turn),
        ]
        for i in rng.permutation(len(steps)):
            amount, adjust, value = steps[i]
            if amount:
                image = adjust(image, value)
        return image

    def _degrade(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        # What is left out takes no random numbers: frames are then as without this.
        if self.blur:
            image = blur(image, rng.uniform(0, self.blur))
        if self.noise:
            image = add_noise(image, rng.uniform(0, self.noise), rng)
        if self.jpeg:
            image = compress(image, 100 - rng.uniform(0, self.jpeg))
        return image


@dataclass(frozen=True)
class _Window:
    """One axis of a crop: its position on the scaled frame, and its padding.

    Attributes:
        ratio: Source pixels for a pixel of the scaled frame.
        first: The scaled frame's first pixel that is shown.
        length: Pixels shown.
        before: Pixels of padding before those.
        after: Pixels of padding after those.
    """

    ratio: float
    first: int
    length: int
    before: int
    after: int

    @classmethod
    def random(cls, size: int, scale: float, crop: int, rng: np.random.Generator) -> _Window:
        """A window of `crop` pixels on an axis of `size` pixels scaled by `scale`.

        It lies within the scaled frame, or, if that is the smaller one, the frame lies within it.
        """
        scaled = max(1, round(size * scale))
        slack = scaled - crop
        offset = int(rng.integers(min(slack, 0), max(slack, 0) + 1))
        first, before = max(0, offset), max(0, -offset)
        length = min(scaled, crop)
        return cls(size / scaled, first, length, before, crop - before - length)

    @property
    def shown(self) -> slice:
        """Where the crop shows something."""
        return slice(self.before, self.before + self.length)

    @property
    def start(self) -> float:
        """The source coordinate of the first pixel shown; pixel centers are whole numbers."""
        return (self.first + 0.5) * self.ratio - 0.5


@dataclass
class _Placed:
    """What a crop shows of a pair: windows on its two axes, without their padding."""

    image: np.ndarray
    mask: np.ndarray
    rows: _Window
    columns: _Window
    mirror: bool

    def paste(self, other: _Placed) -> None:
        """Lays the labeled pixels of another pair over these, where both show something."""
        image, mask = (x[self.rows.shown, self.columns.shown] for x in other.padded())
        labeled = mask != IGNORE_LABEL
        self.image[labeled] = image[labeled]
        self.mask[labeled] = mask[labeled]

    def padded(self) -> tuple[np.ndarray, np.ndarray]:
        """Frame and mask of the whole crop."""
        image = _pad(self.image, self.rows, self.columns, MEAN_COLOR)
        mask = _pad(self.mask, self.rows, self.columns, (IGNORE_LABEL,))
        return (cv2.flip(image, 1), cv2.flip(mask, 1)) if self.mirror else (image, mask)


def _sample(
    image: np.ndarray, mask: np.ndarray, rows: _Window, columns: _Window
) -> tuple[np.ndarray, np.ndarray]:
    affine = np.array([[columns.ratio, 0, columns.start], [0, rows.ratio, rows.start]])
    size = (columns.length, rows.length)
    inverse = cv2.WARP_INVERSE_MAP
    frame = cv2.warpAffine(
        image, affine, size, flags=inverse | cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    labels = cv2.warpAffine(
        mask, affine, size, flags=inverse | cv2.INTER_NEAREST, borderMode=cv2.BORDER_REPLICATE
    )
    return frame, labels


def _pad(array: np.ndarray, rows: _Window, columns: _Window, value: tuple[int, ...]) -> np.ndarray:
    border = (rows.before, rows.after, columns.before, columns.after)
    return cv2.copyMakeBorder(array, *border, cv2.BORDER_CONSTANT, value=value)


def _low_pass(image: np.ndarray, scale: float) -> np.ndarray:
    """Take out the detail that would alias when the image is sampled at a `scale` below 1."""
    if scale >= 1:
        return image
    return blur(image, 0.5 * math.sqrt(1 / scale**2 - 1))


def adjust_brightness(image: np.ndarray, factor: float) -> np.ndarray:
    """Blend with black: `factor` 0 gives black, 1 the image, uint8 `(H, W, 3)` RGB."""
    return _blend(image, 0.0, factor)


def adjust_contrast(image: np.ndarray, factor: float) -> np.ndarray:
    """Blend with the mean gray: `factor` 0 gives flat gray, 1 the image, uint8 `(H, W, 3)` RGB."""
    return _blend(image, float(_GRAY @ cv2.mean(image)[:3]), factor)


def adjust_saturation(image: np.ndarray, factor: float) -> np.ndarray:
    """Blend with gray: `factor` 0 gives a gray image, 1 the image, uint8 `(H, W, 3)` RGB."""
    return cv2.transform(image, factor * np.eye(3) + (1 - factor) * _GRAY)


def shift_hue(image: np.ndarray, turn: float) -> np.ndarray:
    """Turn the color wheel by `turn` full turns, uint8 `(H, W, 3)` RGB."""
    # In float32: at 8 bits, converting to HSV and back alone shifts colors by up to 8 levels.
    hsv = cv2.cvtColor(image.astype(np.float32), cv2.COLOR_RGB2HSV)
    hue = hsv[..., 0]
    np.add(hue, turn % 1 * 360, out=hue)
    np.subtract(hue, 360, out=hue, where=hue >= 360)
    return np.rint(cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)).astype(np.uint8)


def blur(image: np.ndarray, sigma: float) -> np.ndarray:
    """Gaussian blur of `sigma` pixels, uint8 `(H, W, 3)`; the image itself for 0."""
    return cv2.GaussianBlur(image, (0, 0), sigma) if sigma else image


def add_noise(image: np.ndarray, sigma: float, rng: np.random.Generator) -> np.ndarray:
    """Gaussian noise of `sigma` levels in each channel of each pixel, uint8 `(H, W, 3)`."""
    # A random byte stands for one of 256 quantiles: in a tenth of the time of normal numbers.
    levels = np.rint(sigma * _QUANTILES).astype(np.int16)
    noise = cv2.LUT(rng.integers(0, 256, image.shape, np.uint8), levels)
    return cv2.add(image, noise, dtype=cv2.CV_8U)


def compress(image: np.ndarray, quality: float) -> np.ndarray:
    """The image after JPEG of a quality of 1..100, uint8 `(H, W, 3)` RGB."""
    bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    _, code = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, round(quality)])
    decoded = cv2.imdecode(code, cv2.IMREAD_COLOR)
    return cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB)  # type: ignore[arg-type]


def _blend(image: np.ndarray, level: float, factor: float) -> np.ndarray:
    values = np.arange(256) * factor + level * (1 - factor)
    return cv2.LUT(image, values.round().clip(0, 255).astype(np.uint8))
