"""Sky, ground texture and shadows before the objects; haze, light and lens after them."""

from __future__ import annotations

import cv2
import numpy as np

from asap_tf.data.streets.labels import ID, label_of
from asap_tf.data.streets.look import Look
from asap_tf.data.streets.mesh import Mesh
from asap_tf.data.streets.painter import Canvas
from asap_tf.data.streets.textures import TILE, grain, noise


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
        clouds = cv2.remap(noise(40 + variant, 2, 64), x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)
        share = np.clip((clouds + 2.4 * look.cover - 1.2) * 0.7, 0, 0.92) * np.clip(rise * 10, 0, 1)
        share = cv2.resize(share, (width, last))
        sky = cv2.blendLinear(_plain((*look.cloud, 0), sky.shape), sky, share, 1 - share)
    canvas.color[:last] = sky


def _plain(color: tuple[float, ...], shape: tuple[int, ...]) -> np.ndarray:
    return cv2.merge([np.full(shape[:2], part, np.uint8) for part in map(int, color)])


def paint_ground(canvas: Canvas, look: Look, standing: list[Mesh], variant: int) -> None:
    """Gives what lies flat its texture, and the shadows of what will stand on it."""
    camera = canvas.camera
    height, width = camera.size
    first = camera.horizon()[0] // 2 * 2
    if first >= height - 2:
        return
    x, z, distance = camera.plane(slice(first, height), 0.0, 400.0, step=2)
    fade = 1 / (1 + distance * np.float32(0.07))
    scale = np.float32(TILE / 9)
    map_x, map_z = (x * scale) % TILE, (z * scale) % TILE
    wrapped = {"interpolation": cv2.INTER_LINEAR, "borderMode": cv2.BORDER_WRAP}
    rough = cv2.remap(noise(variant), map_x, map_z, **wrapped)
    coarse = cv2.remap(noise(60 + variant, 4, 32), map_x / 5, map_z / 5, **wrapped)
    labels = canvas.ids(np.s_[first::2, ::2])
    strength = np.zeros(256, np.float32)
    strength[[ID["road"], ID["sidewalk"], ID["terrain"], ID["rail track"]]] = 0.09, 0.08, 0.24, 0.3
    light = 1 + rough * strength[labels] * fade + coarse * np.float32(0.07)
    slab = np.float32(0.55 + 0.4 * (variant % 3))
    joints = ((x % slab) < 0.035) | ((z % slab) < 0.035)
    light -= np.float32(0.3) * fade * (joints & (labels == ID["sidewalk"]))
    light *= 1 - _shadows(canvas, look, standing)[first // 2 :].astype(np.float32) / 255
    light = cv2.resize(light, (width, height - first))
    canvas.color[first:] = cv2.multiply(canvas.color[first:], cv2.merge([light] * 4), dtype=cv2.CV_8U)


def _shadows(canvas: Canvas, look: Look, standing: list[Mesh]) -> np.ndarray:
    """How much darker the ground is, uint8 `(H / 2, W / 2)`."""
    camera = canvas.camera
    height, width = camera.size
    half = np.zeros(((height + 1) // 2, (width + 1) // 2), np.uint8)
    sun = look.sun[[0, 2]] / max(look.sun[1], 0.15)
    cast = look.direct > 0.3
    flat = Mesh(0)
    contact = Mesh(0)
    for mesh in standing:
        if mesh.footprint is None or label_of(mesh.id) == ID["building"] and not cast:
            continue
        foot = mesh.footprint.astype(np.float32)
        for target, outline in ((contact, foot), (flat, _reach(mesh, foot, sun) if cast else None)):
            if outline is None:
                continue
            hull = cv2.convexHull(outline)[:, 0]
            target.add(np.insert(hull, 1, 0.0, axis=1), None)
    for group, depth in ((flat, 150 * look.direct), (contact, 110)):
        if group:
            _silhouettes(canvas, group, half, depth)
    return cv2.GaussianBlur(half, (0, 0), max(0.4, height / 512))


def _reach(mesh: Mesh, foot: np.ndarray, sun: np.ndarray) -> np.ndarray:
    """The footprint and where the sun throws the object's top."""
    tall = float(mesh.points[:, 1].max())
    return np.concatenate([foot, foot - (sun * tall).astype(np.float32)])


def _silhouettes(canvas: Canvas, group: Mesh, half: np.ndarray, depth: float) -> None:
    points = canvas.camera.to_camera(group.points)
    start = 0
    for face in group.faces:
        corners = points[start : start + face.count]
        start += face.count
        if corners[:, 2].max() < 1.0:
            continue
        corners = corners.copy()
        corners[:, 2] = np.maximum(corners[:, 2], 0.8)
        outline = np.clip(canvas.camera.to_pixels(corners), -30_000, 30_000) * 8
        cv2.fillPoly(half, [outline.astype(np.int32)], depth, cv2.LINE_AA, 4)


def develop(canvas: Canvas, look: Look, rng: np.random.Generator) -> np.ndarray:
    """Haze, light, reflections, weather and lens: the frame as the camera delivers it, RGB."""
    height, width = canvas.camera.size
    frame = np.ascontiguousarray(canvas.color[..., :3])
    glow = canvas.color[..., 3]
    dark = max(look.tint) < 0.7 or look.lit > 0.2
    if look.wet:
        frame = _reflect(canvas, frame, look.wet)
    near = canvas.nearness()
    near[canvas.faces == 0] = look.haze / 0.35
    clear = cv2.exp(-look.haze / np.maximum(near, 1e-4))
    frame = cv2.blendLinear(frame, _plain(look.haze_color, frame.shape), clear, 1 - clear)
    ramp = np.arange(256, dtype=np.float32)
    curves = [255 * np.clip(ramp / 255 * gain, 0, 1) ** look.gamma for gain in look.tint]
    table = np.stack(curves, axis=1)[None].astype(np.uint8)
    lit = cv2.LUT(frame, table)
    if dark:
        share = glow.astype(np.float32) / 255
        lit = cv2.blendLinear(frame, lit, share, 1 - share)
        small = cv2.resize(glow, (width // 8, height // 8), interpolation=cv2.INTER_AREA)
        bloom = cv2.GaussianBlur(small, (0, 0), height / 256)
        bloom = cv2.resize(bloom, (width, height))
        lit = cv2.add(lit, cv2.merge([bloom, cv2.convertScaleAbs(bloom, alpha=0.85), cv2.convertScaleAbs(bloom, alpha=0.6)]))
    if look.rain or look.snow:
        lit = _fall(lit, rng, look.snow)
    sigma = look.blur * height / 512
    if sigma > 0.25:
        lit = cv2.GaussianBlur(lit, (0, 0), sigma)
    amount = look.noise / 32
    speckle = grain((height, width))[int(rng.integers(height)) :][:height]
    return cv2.addWeighted(lit, 1.0, speckle, amount, -128 * amount)


def _reflect(canvas: Canvas, frame: np.ndarray, wet: float) -> np.ndarray:
    """Mirrors what is above the horizon in the road, as a wet road does."""
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
