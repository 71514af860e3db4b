"""Random colors and choices."""

from __future__ import annotations

import colorsys
from collections.abc import Sequence
from typing import TypeVar

import numpy as np

from asap_tf.streets.mesh import Color

T = TypeVar("T")


def pick(rng: np.random.Generator, options: Sequence[T]) -> T:
    """One of the options, all equally likely."""
    return options[int(rng.integers(len(options)))]


def chance(rng: np.random.Generator, probability: float) -> bool:
    """True with the given probability."""
    return bool(rng.random() < probability)


def hsv(hue: float, saturation: float, value: float) -> Color:
    """A color from hue (in turns), saturation and value (0..1)."""
    red, green, blue = colorsys.hsv_to_rgb(hue % 1.0, saturation, value)
    return red * 255, green * 255, blue * 255


def any_color(
    rng: np.random.Generator,
    saturation: tuple[float, float] = (0.0, 0.7),
    value: tuple[float, float] = (0.15, 0.9),
) -> Color:
    """A color of any hue; gray ones are as common as strong ones."""
    strength = saturation[0] + (saturation[1] - saturation[0]) * rng.random() ** 1.6
    return hsv(rng.random(), strength, rng.uniform(*value))


def stone(rng: np.random.Generator, value: tuple[float, float] = (0.2, 0.7)) -> Color:
    """The color of something mineral: gray, brown, reddish, bluish."""
    return hsv(pick(rng, (0.02, 0.07, 0.11, 0.6)), rng.random() ** 2 * 0.45, rng.uniform(*value))


def lacquer(rng: np.random.Generator) -> Color:
    """The color of a car: more often white, gray or black than not."""
    if chance(rng, 0.5):
        return hsv(
            rng.uniform(0.5, 0.7), rng.uniform(0, 0.1), pick(rng, (0.1, 0.25, 0.5, 0.7, 0.9))
        )
    return any_color(rng, (0.3, 0.95), (0.15, 0.9))


def metal(rng: np.random.Generator) -> Color:
    """The color of a post or a railing: bare, galvanized or painted dark, seldom bright."""
    if chance(rng, 0.15):
        return any_color(rng, (0.2, 0.8), (0.2, 0.8))
    return hsv(rng.uniform(0.3, 0.65), rng.uniform(0, 0.2), rng.uniform(0.12, 0.7))


def signal(rng: np.random.Generator) -> Color:
    """A strong color as signs have it: red, blue, green, yellow, sometimes another."""
    hue = rng.random() if chance(rng, 0.15) else pick(rng, (0.99, 0.99, 0.6, 0.6, 0.38, 0.13))
    return hsv(hue + rng.normal(0, 0.015), rng.uniform(0.7, 1.0), rng.uniform(0.45, 0.95))
