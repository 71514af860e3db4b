from __future__ import annotations

import json

import numpy as np
import pytest
from scipy.ndimage import label

from asap_tf.core.labels import numbered_classes
from asap_tf.inference.breakdown import PARTS, Breakdown, part_counts

COUNT = 4
SIDES = [5, 31, 32, 33, 95, 96, 97]


def scene(seed: int) -> np.ndarray:
    """Squares of many sizes over each other, ignored ones too, and single pixels."""
    rng = np.random.default_rng(seed)
    labels = np.zeros((250, 300), np.uint8)
    for side in rng.permutation(SIDES * 2):
        y, x = rng.integers(0, (250 - side, 300 - side))
        labels[y : y + side, x : x + side] = rng.choice([0, 1, 2, 3, 255])
    return np.where(rng.random(labels.shape) < 0.01, 2, labels).astype(np.uint8)


def naive_sizes(labels: np.ndarray) -> np.ndarray:
    """0, 1 or 2 by the number of pixels that belong together."""
    parts = np.zeros(labels.shape, int)
    for train_id in set(labels.ravel().tolist()):
        regions, count = label(labels == train_id, np.ones((3, 3)))
        for i in range(1, count + 1):
            pixels = int((regions == i).sum())
            parts[regions == i] = 0 if pixels < 32**2 else 1 if pixels < 96**2 else 2
    return parts


def naive_rows(labels: np.ndarray) -> np.ndarray:
    parts = np.zeros(labels.shape, int)
    for y in range(len(labels)):
        below = len(labels) - 1 - y
        parts[y] = int(4 * below / len(labels))
    return parts


@pytest.mark.parametrize(("kind", "naive"), [("size", naive_sizes), ("row", naive_rows)])
def test_iou_of_parts_against_scipy(kind, naive):
    pairs = [(scene(seed), scene(seed + 9) % 5) for seed in range(2)]
    pairs = [(t, np.where(np.roll(t, 3) < 4, np.roll(t, 3), p).astype(np.uint8)) for t, p in pairs]
    counts = sum(part_counts(kind, t, p, COUNT) for t, p in pairs)
    found = Breakdown(kind, numbered_classes(COUNT), counts)
    expected = np.full((len(PARTS[kind]), COUNT), np.nan)
    shares = np.zeros(len(PARTS[kind]))
    for part in range(len(PARTS[kind])):
        for c in range(COUNT):
            right = union = 0
            for truth, prediction in pairs:
                true_part, predicted_part = naive(truth), naive(prediction)
                hit = (truth == c) & (prediction == c)
                false = (prediction == c) & (truth != c) & (truth != 255)
                right += (hit & (true_part == part)).sum()
                union += ((truth == c) & (true_part == part)).sum()
                union += (false & (predicted_part == part)).sum()
            if union:
                expected[part, c] = right / union
        shares[part] = sum(((t != 255) & (naive(t) == part)).sum() for t, _ in pairs)
    np.testing.assert_allclose(found.iou, expected)
    np.testing.assert_allclose(found.miou, np.nanmean(expected, axis=1))
    np.testing.assert_allclose(found.shares, shares / shares.sum())


def test_a_part_without_pixels():
    labels = np.zeros((20, 20), np.uint8)
    found = Breakdown("size", numbered_classes(2), part_counts("size", labels, labels, 2))
    text = found.table().splitlines()
    assert text[0].split("  ")[0] == "IoU % by size"
    assert text[1].split() == ["class", "0", "100.00", "-", "-"]
    assert text[-1].split() == ["share", "of", "pixels", "100.00", "0.00", "0.00"]
    plain = found.to_dict()
    assert json.loads(json.dumps(plain, allow_nan=False)) == plain
    assert plain["below 32 x 32"]["iou"] == {"class 0": 1.0, "class 1": None}
    assert plain["larger"] == {"miou": None, "iou": {"class 0": None, "class 1": None}, "share": 0}
