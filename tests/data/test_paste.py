from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from asap_tf.data.augment import Augmentation
from asap_tf.data.dataset import Pair
from asap_tf.data.paste import SHARE, Paste
from asap_tf.data.pipeline import Source, training_batches

SIZE = (48, 64)
ROAD, RIDER, BICYCLE = 0, 3, 7
NAMES = ["road", *(f"bicycle{i}" for i in range(9)), "rider"]


def read(pair: Pair) -> tuple[np.ndarray, np.ndarray]:
    """Road with a thing at the left of ten frames of eleven; on frames of the label's color."""
    mask = np.full(SIZE, ROAD, np.uint8)
    if pair.image.name.startswith("bicycle"):
        mask[8:20, :6] = BICYCLE
    if pair.image.name == "rider":
        mask[:8, :6] = RIDER
        mask[8:16, :6] = BICYCLE
        mask[20, 20] = RIDER + 1
    return np.repeat(mask[..., None] * np.uint8(20), 3, -1), mask


def paste_of(pairs: list[Pair], *labels: int) -> Paste:
    shares = [[(read(pair)[1] == label).mean() for label in labels] for pair in pairs]
    return Paste(pairs, read, labels, np.array(shares))


@pytest.fixture
def pairs() -> list[Pair]:
    return [Pair(Path(name), Path(name)) for name in NAMES]


def test_a_rare_class_is_drawn_as_often_as_another(pairs: list[Pair]) -> None:
    paste, rng = paste_of(pairs, RIDER, BICYCLE), np.random.default_rng(0)
    drawn = [paste(rng) for _ in range(2000)]
    found = Counter(frozenset(np.unique(pair[1])) for pair in drawn if pair is not None)
    assert sum(found.values()) == pytest.approx(2000 * SHARE, rel=0.1)
    # The rider is on one frame, which is one of the bicycle's ten too.
    assert found.keys() == {frozenset({BICYCLE, 255}), frozenset({RIDER, BICYCLE, 255})}
    with_rider = found[frozenset({RIDER, BICYCLE, 255})] / sum(found.values())
    assert with_rider == pytest.approx(0.5 + 0.5 / 10, abs=0.06)


def test_specks_are_not_pasted(pairs: list[Pair]) -> None:
    rng = np.random.default_rng(0)
    assert [paste_of(pairs, RIDER + 1)(rng) for _ in range(9)] == [None] * 9


@pytest.mark.parametrize("scales", [(1.0,), (0.5, 1.0, 1.5)])
def test_frame_and_mask_get_the_same_pixels(pairs: list[Pair], scales: tuple[float, ...]) -> None:
    """As they lie in their own frames where nothing is scaled, and one over the other elsewhere."""
    (image, mask), (other, things) = read(pairs[0]), read(pairs[-1])
    things[(things != RIDER) & (things != BICYCLE)] = 255
    before = things.copy()
    augment = Augmentation(SIZE, scales, flip=len(scales) > 1)
    seen = set()
    for seed in range(20):
        rng = np.random.default_rng(seed)
        frame, labels = augment(image, mask, rng, (other, things))
        if len(scales) == 1:
            np.testing.assert_array_equal(labels, np.where(things == 255, mask, things))
        flat = (frame == frame[..., :1]).all(-1) & np.isin(frame[..., 0], 20 * np.arange(8))
        np.testing.assert_array_equal(frame[..., 0][flat], 20 * labels[flat])
        assert flat[labels != 255].mean() > 0.8
        seen |= set(np.unique(labels))
    assert {RIDER, BICYCLE} <= seen
    np.testing.assert_array_equal(mask, ROAD)
    np.testing.assert_array_equal(things, before)


def test_noise_covers_what_is_pasted(pairs: list[Pair]) -> None:
    image, mask = read(pairs[0])
    things = np.full(SIZE, 255, np.uint8)
    things[:, :16] = RIDER
    augment = Augmentation(SIZE, (1.0,), flip=False, noise=60.0)
    gray = np.full_like(image, 128)
    frame, _ = augment(gray, mask, np.random.default_rng(1), (gray, things))
    left, right = frame[:, :16].std(), frame[:, 16:].std()
    assert left == pytest.approx(right, rel=0.2) and left > 5


def test_a_resumed_run_pastes_what_it_would_have_pasted(pairs: list[Pair]) -> None:
    source = Source(pairs, read, paste=paste_of(pairs, RIDER, BICYCLE))

    def batches(start: int, stop: int) -> list[tuple[np.ndarray, np.ndarray]]:
        made = training_batches([source], Augmentation(SIZE), 2, 5, start, stop)
        return list(made.as_numpy_iterator())

    for ours, theirs in zip(batches(4, 9), batches(0, 9)[4:], strict=True):
        for array, wanted in zip(ours, theirs, strict=True):
            np.testing.assert_array_equal(array, wanted)
