"""Frames and videos to label, and a segmenter that reads its labels off them."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from asap_tf.core.labels import LabelClass
from asap_tf.data.images import write_image

FRAMES, HEIGHT, WIDTH, RATE = 24, 48, 64, 10.0


class FakeSegmenter:
    """Classes by brightness, so that every label map tells which frame it belongs to."""

    palette = np.array([(0, 0, 0), (255, 255, 0), (255, 0, 255), (0, 255, 255)], np.uint8)
    classes = tuple(LabelClass(f"c{i}", tuple(c), "x", i) for i, c in enumerate(palette.tolist()))

    def __init__(self, fails_at: int | None = None) -> None:
        self.frames = 0
        self.fails_at = fails_at

    def predict(self, frames: np.ndarray) -> np.ndarray:
        assert frames.dtype == np.uint8 and frames.ndim == 4
        self.frames += len(frames)
        if self.frames == self.fails_at:
            raise RuntimeError("out of memory")
        return frames[..., 0] // 64


def save_image(path: Path, seed: int = 0) -> Path:
    rng = np.random.default_rng(seed)
    write_image(path, rng.integers(0, 256, (30, 40, 3), dtype=np.uint8))
    return path


def order(index: int) -> int:
    """A class for each frame such that frames in any other order would be noticed."""
    return (index * index + index // 5) % 4


def save_video(path: Path, noise: bool = False) -> Path:
    codec = "MJPG" if path.suffix == ".avi" else "mp4v"
    video = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*codec), RATE, (WIDTH, HEIGHT))
    for index in range(FRAMES):
        # Red alone carries the class: mixed up channels would give other classes.
        frame = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
        frame[..., 2] = 32 + 64 * order(index)
        if noise:
            frame = np.random.default_rng(index).integers(0, 256, frame.shape, dtype=np.uint8)
        video.write(frame)
    video.release()
    return path


def read_video(path: Path) -> tuple[list[np.ndarray], float]:
    video = cv2.VideoCapture(str(path))
    frames = []
    while (read := video.read())[0]:
        frames.append(cv2.cvtColor(read[1], cv2.COLOR_BGR2RGB))
    return frames, video.get(cv2.CAP_PROP_FPS)


def read_labels(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        assert image.mode == "L"
        return np.asarray(image)
