"""Time of day, weather and season, on which all colors of a frame depend."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from asap_tf.streets.mesh import Color
from asap_tf.streets.paint import chance, hsv, pick, stone


@dataclass(frozen=True)
class Look:
    """Light, weather and color grading of a frame.

    Attributes:
        sun: Unit vector towards the sun.
        ambient: Brightness of what the sun does not reach.
        direct: What the sun adds at most.
        tint: RGB factors of the light and the camera's white balance together.
        sky: Colors of the sky at the horizon and overhead.
        cloud: Color of the clouds.
        cover: How much of the sky they take, 0..1.
        haze: Fog and haze, 1/m.
        haze_color: What the distance fades into.
        lit: Share of windows and lamps that are on; headlights are if it is over 0.3.
        wet: Strength of the reflections on the road, 0..1.
        rain: Streaks in the frame.
        snow: On the ground and in the air.
        asphalt: Color of the road.
        paving: Color of the sidewalks.
        soil: Color of terrain.
        foliage: Colors that trees and bushes come in.
        bare: The trees have lost their leaves.
        gamma: Of the tone curve.
        blur: Deviation in pixels of a frame 512 high.
        noise: Deviation of the sensor noise, in gray levels.
    """

    sun: np.ndarray
    ambient: float
    direct: float
    tint: tuple[float, float, float]
    sky: tuple[Color, Color]
    cloud: Color
    cover: float
    haze: float
    haze_color: Color
    lit: float
    wet: float
    rain: bool
    snow: bool
    asphalt: Color
    paving: Color
    soil: Color
    foliage: tuple[Color, ...]
    bare: bool
    gamma: float
    blur: float
    noise: float


def _sky(rng: np.random.Generator, time: str, overcast: bool) -> tuple[Color, Color]:
    if time == "night":
        hue = rng.uniform(0.55, 0.75)
        return hsv(hue, 0.5, rng.uniform(0.15, 0.4)), hsv(hue, 0.6, rng.uniform(0.03, 0.15))
    if time == "dusk":
        low = hsv(rng.uniform(-0.08, 0.13), rng.uniform(0.3, 0.8), rng.uniform(0.7, 1.0))
        return low, hsv(rng.uniform(0.55, 0.85), rng.uniform(0.2, 0.6), rng.uniform(0.3, 0.8))
    if overcast:
        gray = rng.uniform(0.45, 1.0)
        hue, strength = rng.random(), rng.uniform(0, 0.12)
        return hsv(hue, strength, gray), hsv(hue, strength, gray * rng.uniform(0.65, 1.0))
    hue = rng.uniform(0.5, 0.63)
    low = hsv(hue, rng.uniform(0.05, 0.35), rng.uniform(0.8, 1.0))
    return low, hsv(hue, rng.uniform(0.3, 0.85), rng.uniform(0.5, 0.95))


_LEAF_HUES = {
    "spring": (0.18, 0.21, 0.24, 0.27, 0.95),
    "summer": (0.2, 0.24, 0.27, 0.3, 0.36),
    "autumn": (0.03, 0.08, 0.12, 0.16, 0.24),
    "winter": (0.12, 0.22, 0.3, 0.34),
}


def _soil(rng: np.random.Generator) -> Color:
    """Grass, dry grass or earth."""
    hue, most = pick(rng, ((0.26, 0.6), (0.22, 0.6), (0.18, 0.55), (0.13, 0.55), (0.08, 0.5)))
    return hsv(hue + rng.normal(0, 0.02), rng.uniform(0.25, most), rng.uniform(0.3, 0.65))


def _asphalt(rng: np.random.Generator) -> Color:
    """Gray, sometimes brown, red or pale."""
    if chance(rng, 0.2):
        return stone(rng, (0.25, 0.65))
    return hsv(rng.uniform(0.5, 0.75), rng.uniform(0, 0.12), rng.uniform(0.2, 0.46))


def _paving(rng: np.random.Generator) -> Color:
    """Slabs and bricks, mostly paler and warmer than the road."""
    if chance(rng, 0.2):
        return stone(rng)
    return hsv(rng.uniform(-0.02, 0.13), rng.uniform(0.03, 0.35), rng.uniform(0.42, 0.78))


def _brightness(rng: np.random.Generator, time: str, overcast: bool) -> tuple[float, float, float]:
    """Ambient and direct light, and exposure."""
    if time == "night":
        return 0.9, 0.08, rng.uniform(0.42, 0.65)
    if overcast:
        return rng.uniform(0.85, 0.95), 0.15, rng.uniform(0.8, 1.2)
    return rng.uniform(0.5, 0.7), rng.uniform(0.45, 0.75), rng.uniform(0.95, 1.3)


def _haze(rng: np.random.Generator) -> float:
    """Mostly clear air, sometimes fog."""
    clear = float(np.exp(rng.uniform(np.log(0.001), np.log(0.008))))
    return rng.uniform(0.012, 0.045) if chance(rng, 0.12) else clear


def _mix(a: Color, b: Color, share: float) -> Color:
    red, green, blue = (x + (y - x) * share for x, y in zip(a, b, strict=True))
    return red, green, blue


def draw_look(rng: np.random.Generator) -> Look:
    """Draws the look of one frame."""
    time = pick(rng, ("day",) * 7 + ("dusk",) * 2 + ("night",))
    season = pick(rng, ("spring", "summer", "summer", "summer", "autumn", "winter"))
    rain = chance(rng, 0.14)
    overcast = rain or chance(rng, 0.45)
    snow = season == "winter" and not rain and chance(rng, 0.5)
    white = hsv(0.6, rng.uniform(0, 0.08), rng.uniform(0.7, 1.0))

    azimuth = rng.uniform(-np.pi, np.pi)
    height = rng.uniform(0.12, 1.1) if time == "day" else rng.uniform(0.06, 0.25)
    sun = np.array([np.sin(azimuth), np.tan(height), np.cos(azimuth)]) * np.cos(height)
    ambient, direct, exposure = _brightness(rng, time, overcast)
    warmth, green = rng.normal(0.1 if time == "dusk" else 0.0, 0.06), rng.normal(0, 0.03)
    sky = _sky(rng, time, overcast)
    cloud_value = rng.uniform(0.2, 0.4) if time == "night" else rng.uniform(0.6, 1.0)
    hues = _LEAF_HUES[season]
    return Look(
        sun=sun,
        ambient=ambient,
        direct=direct,
        tint=(exposure * (1 + warmth), exposure * (1 + green), exposure * (1 - warmth)),
        sky=sky,
        cloud=hsv(rng.uniform(0.5, 1.1), rng.uniform(0, 0.2), cloud_value),
        cover=rng.uniform(0.0, 1.0),
        haze=_haze(rng),
        haze_color=_mix(*sky, 0.3),
        lit={"night": 0.45, "dusk": 0.35}.get(time, 0.15 if rain else 0.0),
        wet=rng.uniform(0.25, 0.6) if rain or chance(rng, 0.12) else 0.0,
        rain=rain,
        snow=snow,
        asphalt=_asphalt(rng),
        paving=white if snow and chance(rng, 0.6) else _paving(rng),
        soil=white if snow else _soil(rng),
        foliage=tuple(
            hsv(pick(rng, hues) + rng.normal(0, 0.015), *rng.uniform((0.3, 0.22), (0.75, 0.65)))
            for _ in range(3)
        ),
        bare=season == "winter" and chance(rng, 0.7),
        gamma=float(np.exp(rng.normal(0, 0.16))),
        blur=rng.uniform(0.3, 0.9),
        noise=rng.uniform(1.0, 7.0),
    )
