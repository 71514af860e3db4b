"""Scenes of three classes, to be annotated as tools do, and read back."""

from __future__ import annotations

from types import SimpleNamespace

import cv2
import numpy as np

from asap_tf.data import open_dataset
from asap_tf.data.images import read_pair

SIZE = (90, 120)
NAMES = ["road", "car", "sign"]


def scene(seed: int) -> np.ndarray:
    """Labels of a road beyond three edges, cars with windows in two parts, and signs; 255 else."""
    rng = np.random.default_rng(seed)
    labels = np.full(SIZE, 255, np.uint8)
    cv2.fillPoly(labels, [np.array([[-9, 100], [45, 40], [70, 40], [140, 100]])], 0)
    for _ in range(2):
        x, y = map(int, rng.integers(20, 80, 2))
        cv2.circle(labels, (x, y), 15, 1, -1)
        cv2.circle(labels, (x, y), 5, 255, -1)
        cv2.rectangle(labels, (x + 18, 20), (x + 24, 31), 2, -1)
    return labels


def frame(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (*SIZE, 3), dtype=np.uint8)


def contours(region: np.ndarray) -> list[tuple[np.ndarray, bool]]:
    """Corners of the outlines of a region, pixel centers, each with whether it is a hole's."""
    found, tree = cv2.findContours(region.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    return [(c[:, 0], node[3] >= 0) for c, node in zip(found, tree[0], strict=True)]


def agreement(source: SimpleNamespace, names=("background", *NAMES)) -> float:
    """Share of pixels of the converted frames that are labeled as in their scenes."""
    dataset = open_dataset(source.out)
    train_ids = [[c.name for c in dataset.classes].index(name) for name in names]
    equal = []
    for split in dataset.splits:
        for pair in dataset.pairs(split):
            key = pair.image.relative_to(source.out / "frames" / split).as_posix()
            pixels, labels = read_pair(pair, dataset.encoding)
            np.testing.assert_array_equal(pixels, frame(int(pair.image.stem)))
            truth = source.frames[key]
            wanted = np.choose(np.where(truth == 255, 0, truth + 1), train_ids)
            equal.append(labels == wanted)
    assert len(equal) == len(source.frames)
    return float(np.mean(equal))


def runs(inside: np.ndarray) -> list[int]:
    """Lengths of the runs of pixels outside and inside in turn, of a region's pixels in a row."""
    closed = np.concatenate([[0], inside.astype(int), [1 - int(inside[-1])]])
    return np.diff([0, *np.flatnonzero(np.diff(closed))]).tolist()
