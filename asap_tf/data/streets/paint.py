"""Random colours and choices."""

from __future__ import annotations

import colorsys
from collections.abc import Sequence
from typing import TypeVar

import numpy as np

from asap_tf.data.streets.mesh import Color

T = TypeVar("T")


def pick(rng: np.random.Generator, options: Sequence[T]) -> T:
    """One of the options, all alike."""
    return options[int(rng.integers(len(options)))]


def chance(rng: np.random.Generator, probability: float) -> bool:
    """True with the given probability."""
    return bool(rng.random() < probability)


def hsv(hue: float, saturation: float, value: float) -> Color:
    """A colour from hue (in turns), saturation and value (0..1)."""
    red, green, blue = colorsys.hsv_to_rgb(hue % 1.0, saturation, value)
    return red * 255, green * 255, blue * 255


def any_color(
    rng: np.random.Generator,
    saturation: tuple[float, float] = (0.0, 0.7),
    value: tuple[float, float] = (0.15, 0.9),
) -> Color:
    """A colour of any hue; grey ones are as common as strong ones."""
    strength = saturation[0] + (saturation[1] - saturation[0]) * rng.random() ** 1.6
    return hsv(rng.random(), strength, rng.uniform(*value))


def stone(rng: np.random.Generator, value: tuple[float, float] = (0.2, 0.7)) -> Color:
    """The colour of something mineral: grey, brown, reddish, bluish."""
    return hsv(pick(rng, (0.02, 0.07, 0.11, 0.6)), rng.random() ** 2 * 0.45, rng.uniform(*value))
