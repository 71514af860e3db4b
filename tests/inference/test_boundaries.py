from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.ndimage import binary_dilation

from asap_tf.inference.boundaries import boundary_counts, boundary_f_score, near_boundaries


@pytest.mark.parametrize("width", [1, 2, 3.5, 6])
def test_near_boundaries_against_a_loop(width):
    rng = np.random.default_rng(0)
    truth = np.kron(rng.choice([0, 1, 255], (5, 6), p=[0.6, 0.2, 0.2]), np.ones((5, 5), int))
    height, width_of_frame = truth.shape
    places = [(y, x) for y in range(height) for x in range(width_of_frame)]
    at = [
        (y, x)
        for y, x in places
        if any(
            {truth[y, x], truth[v, u]} == {0, 1}
            for v, u in ((y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1))
            if 0 <= v < height and 0 <= u < width_of_frame
        )
    ]
    near = [min(math.hypot(y - v, x - u) for v, u in at) < width for y, x in places]
    found = near_boundaries(truth.astype(np.uint8), width)
    np.testing.assert_array_equal(found.ravel(), near)
    assert not near_boundaries(np.zeros((4, 4), np.uint8), width).any()


def blocks(seed: int, ids) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.kron(rng.choice(ids, (6, 7)), np.ones((6, 5))).astype(np.uint8)


def naive_edge(labels: np.ndarray, train_id: int) -> np.ndarray:
    """Pixels of a class beside labeled ones of others."""
    others = (labels != train_id) & (labels != 255)
    return (labels == train_id) & binary_dilation(others)


@pytest.mark.parametrize("width", [1, 2, 4.5])
def test_f_scores_of_boundaries_against_dilation(width):
    truths = [blocks(seed, [0, 1, 2, 255]) for seed in range(3)]
    predictions = [np.roll(truth, (1, 2), (0, 1)) for truth in truths]
    predictions = [np.where(p == 255, 3, p).astype(np.uint8) for p in predictions]
    reach = int(width) + 1
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    disk = y**2 + x**2 <= width**2
    counts = sum(boundary_counts(t, p, width, 5) for t, p in zip(truths, predictions, strict=True))
    expected = []
    for train_id in range(5):
        found = np.zeros(4)
        for truth, prediction in zip(truths, predictions, strict=True):
            true = naive_edge(truth, train_id)
            predicted = naive_edge(np.where(truth == 255, 255, prediction), train_id)
            near = binary_dilation(predicted, disk), binary_dilation(true, disk)
            found += (
                true.sum(),
                (true & near[0]).sum(),
                predicted.sum(),
                (predicted & near[1]).sum(),
            )
        recall = found[1] / found[0] if found[0] else 0
        precision = found[3] / found[2] if found[2] else 0
        both = precision + recall
        expected.append(2 * precision * recall / both if both else 0 if found.any() else math.nan)
    np.testing.assert_allclose(boundary_f_score(counts), expected)
    assert 0 < expected[0] < 1 and expected[3] == 0 and math.isnan(expected[4])
