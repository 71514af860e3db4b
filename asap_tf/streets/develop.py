"""Sky, ground texture and shadows before the objects; haze, light and lens after them."""

from __future__ import annotations

import cv2
import numpy as np

from asap_tf.streets.labels import ID
from asap_tf.streets.look import Look
from asap_tf.streets.mesh import Mesh
from asap_tf.streets.painter import Canvas, clip
from asap_tf.streets.textures import TILE, grain, noise


def paint_sky(canvas: Canvas, look: Look, variant: int) -> None:
    """Fills the frame with sky: a gradient, and clouds in perspective."""
    width = canvas.camera.size[1]
    last = canvas.camera.horizon()[1]
    if last < 2:
        return
    rise = canvas.camera.upward(slice(0, last))
    low, high = (np.array((*color, 0), np.float32) for color in look.sky)
    ramp = np.linspace(0, 1, 256, dtype=np.float32)[:, None] ** 0.7
    table = np.ascontiguousarray((low + (high - low) * ramp).astype(np.uint8))
    steps = cv2.convertScaleAbs(np.maximum(rise, 0), alpha=255 * 1.6)
    sky = cv2.LUT(cv2.merge([steps] * 4), table[None])
    if look.cover > 0.1:
        # Clouds are soft: half the frame's detail will do.
        rise = rise[::2, ::2]
        reach = 1 / np.maximum(rise, 0.04)
        columns = np.linspace(-0.5, 0.5, rise.shape[1], dtype=np.float32) / canvas.camera.focal
        x, y = (columns * reach * 60 + 1000) % TILE, (reach * 42) % TILE
        clouds = _lookup(noise(40 + variant, 2, 64), x, y)
        share = np.clip((clouds + 2.4 * look.cover - 1.2) * 0.7, 0, 0.92) * np.clip(rise * 10, 0, 1)
        share = cv2.resize(share, (width, last))
        sky = cv2.blendLinear(_plain((*look.cloud, 0), sky.shape), sky, share, 1 - share)
    canvas.color[:last] = sky


def _lookup(tile: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    x, y = x.astype(np.float32), y.astype(np.float32)
    return cv2.remap(tile, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)


def _plain(color: tuple[float, ...], shape: tuple[int, ...]) -> np.ndarray:
    return cv2.merge([np.full(shape[:2], part, np.uint8) for part in map(int, color)])


def paint_ground(canvas: Canvas, look: Look, standing: list[Mesh], variant: int) -> None:
    """Adds texture to flat surfaces, and the shadows of the objects on them."""
    camera = canvas.camera
    height, width = camera.size
    first = camera.horizon()[0] // 2 * 2
    if first >= height - 2:
        return
    x, z, distance = camera.plane(slice(first, height), 0.0, 400.0, step=2)
    fade = 1 / (1 + distance * np.float32(0.07))
    scale = np.float32(TILE / 9)
    map_x, map_z = (x * scale) % TILE, (z * scale) % TILE
    rough = _lookup(noise(variant), map_x, map_z)
    coarse = _lookup(noise(60 + variant, 4, 32), map_x / 5, map_z / 5)
    labels = canvas.ids(np.s_[first::2, ::2])
    strength = np.zeros(256, np.float32)
    strength[[ID["road"], ID["sidewalk"], ID["terrain"], ID["rail track"]]] = 0.09, 0.08, 0.24, 0.3
    light = 1 + rough * strength[labels] * fade + coarse * np.float32(0.07)
    slab = np.float32(0.55 + 0.4 * (variant % 3))
    joints = ((x % slab) < 0.035) | ((z % slab) < 0.035)
    light -= np.float32(0.3) * fade * (joints & (labels == ID["sidewalk"]))
    light *= 1 - _shadows(canvas, look, standing)[first // 2 :].astype(np.float32) / 255
    light = cv2.resize(light, (width, height - first))
    canvas.color[first:] = cv2.multiply(
        canvas.color[first:], cv2.merge([light] * 4), dtype=cv2.CV_8U
    )


def _shadows(canvas: Canvas, look: Look, standing: list[Mesh]) -> np.ndarray:
    """Darkness of shadows on the ground and below objects, uint8 `(H / 2, W / 2)`."""
    height, width = canvas.camera.size
    dark = np.zeros(((height + 1) // 2, (width + 1) // 2), np.uint8)
    feet = [mesh.footprint for mesh in standing if mesh.footprint is not None]
    if look.direct > 0.3:
        away = -look.sun[[0, 2]] / max(look.sun[1], 0.15)
        tops = [mesh.points[:, 1].max() * away for mesh in standing]
        thrown = [np.concatenate([foot, foot + top]) for foot, top in zip(feet, tops, strict=True)]
        _darken(canvas, dark, thrown, 150 * look.direct)
    _darken(canvas, dark, feet, 110)
    return cv2.GaussianBlur(dark, (0, 0), max(0.4, height / 512))


def _darken(canvas: Canvas, dark: np.ndarray, areas: list[np.ndarray], depth: float) -> None:
    """Draws the hulls of ground points, world x and z, at half the frame's size."""
    for area in areas:
        hull = cv2.convexHull(area.astype(np.float32))[:, 0]
        corners = clip(canvas.camera.to_camera(np.insert(hull, 1, 0.0, axis=1)))
        if len(corners):
            outline = np.round(canvas.camera.to_pixels(corners) * 8).astype(np.int32)
            cv2.fillPoly(dark, [outline], depth, cv2.LINE_AA, 4)


def develop(canvas: Canvas, look: Look, rng: np.random.Generator) -> np.ndarray:
    """Haze, light, reflections, weather and lens: the frame as the camera delivers it, RGB."""
    height, width = canvas.camera.size
    frame = cv2.cvtColor(canvas.color, cv2.COLOR_RGBA2RGB)
    if look.wet:
        frame = _reflect(canvas, frame, look.wet)
    near = canvas.nearness()
    near[canvas.faces == 0] = look.haze / 0.35
    clear = cv2.exp(-look.haze / np.maximum(near, 1e-4))
    frame = cv2.blendLinear(frame, _plain(look.haze_color, frame.shape), clear, 1 - clear)
    ramp = np.arange(256, dtype=np.float32)[:, None] / 255
    curves = 255 * np.clip(ramp * look.tint, 0, 1) ** look.gamma
    lit = cv2.LUT(frame, curves[None].astype(np.uint8))
    if look.lit > 0.2 or max(look.tint) < 0.7:
        lit = _glow(frame, lit, canvas.color[..., 3])
    if look.rain or look.snow:
        lit = _fall(lit, rng, look.snow)
    sigma = look.blur * height / 512
    if sigma > 0.25:
        lit = cv2.GaussianBlur(lit, (0, 0), sigma)
    amount = look.noise / 32
    speckle = grain((height, width))[int(rng.integers(height)) :][:height]
    return cv2.addWeighted(lit, 1.0, speckle, amount, -128 * amount)


def _glow(frame: np.ndarray, lit: np.ndarray, glow: np.ndarray) -> np.ndarray:
    """Keeps lights bright in a dark frame, with a halo around them."""
    height, width = glow.shape
    share = glow.astype(np.float32) / 255
    lit = cv2.blendLinear(frame, lit, share, 1 - share)
    small = cv2.resize(glow, (width // 8, height // 8), interpolation=cv2.INTER_AREA)
    halo = cv2.resize(cv2.GaussianBlur(small, (0, 0), height / 256), (width, height))
    return cv2.add(lit, cv2.merge([cv2.convertScaleAbs(halo, alpha=a) for a in (1.0, 0.85, 0.6)]))


def _reflect(canvas: Canvas, frame: np.ndarray, wet: float) -> np.ndarray:
    """Mirrors what is above the horizon in a wet road."""
    height, width = frame.shape[:2]
    first = canvas.camera.horizon()[0]
    rows = np.clip(2 * first - np.arange(first, height), 0, height - 1)
    if not rows.size:
        return frame
    mirrored = cv2.blur(frame[rows], (max(1, width // 200), max(1, height // 24)))
    road = (canvas.ids()[first:] == ID["road"]).astype(np.float32) * np.float32(wet)
    below = cv2.blendLinear(mirrored, np.ascontiguousarray(frame[first:]), road, 1 - road)
    return np.concatenate([frame[:first], below])


def _fall(frame: np.ndarray, rng: np.random.Generator, snow: bool) -> np.ndarray:
    """Rain streaks or snowflakes."""
    height, width = frame.shape[:2]
    count = 220 if snow else 320
    start = rng.uniform((0, 0), (width, height), (count, 2))
    long = rng.uniform(0.002, 0.006, count) if snow else rng.uniform(0.02, 0.07, count)
    lean = rng.normal(0, 0.12)
    end = start + np.stack([long * lean, long], axis=1) * height
    lines = np.stack([start, end], axis=1).astype(np.int32)
    mask = np.zeros((height, width), np.uint8)
    thick = max(1, round(height / (170 if snow else 512)))
    cv2.polylines(mask, list(lines), False, 190 if snow else 60, thick, cv2.LINE_AA)
    return cv2.add(frame, cv2.merge([mask] * 3))
