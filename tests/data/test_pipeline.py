from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from asap_tf.core.errors import UsageError
from asap_tf.data import open_dataset, pipeline
from asap_tf.data.augment import Augmentation
from asap_tf.data.dataset import Dataset, MaskEncoding, Pair
from asap_tf.data.images import BadFile, read_pair, write_image
from asap_tf.data.pipeline import (
    Source,
    eval_pairs,
    pair_reader,
    reader_error,
    steps_per_epoch,
    training_batches,
)

AUGMENTATION = Augmentation(crop=(20, 28), brightness=0.3, contrast=0.3, saturation=0.3, hue=0.05)


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    """Seven pairs; the frame of each, and so its mask, has one value all over."""
    for i in range(7):
        for name in ("train", "trainannot"):
            (tmp_path / name).mkdir(exist_ok=True)
        write_image(tmp_path / f"train/{i}.png", np.full((24, 32, 3), 30 * i, np.uint8))
        write_image(tmp_path / f"trainannot/{i}.png", np.full((24, 32), i, np.uint8))
    return open_dataset(tmp_path)


def batches(
    dataset: Dataset, start: int, stop: int, batch_size: int = 2, **changes: object
) -> list[tuple[np.ndarray, np.ndarray]]:
    arguments = {
        "sources": [Source(dataset.pairs("train"), pair_reader(dataset.encoding))],
        "augmentation": AUGMENTATION,
        "seed": 5,
    }
    made = training_batches(
        **arguments | changes, batch_size=batch_size, start_step=start, stop_step=stop
    )
    return list(made.as_numpy_iterator())


def assert_equal(ours: list, theirs: list) -> None:
    assert len(ours) == len(theirs)
    for (image, mask), (other_image, other_mask) in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(image, other_image)
        np.testing.assert_array_equal(mask, other_mask)


def test_batches_are_uint8_of_the_crop_and_have_static_shapes(dataset: Dataset) -> None:
    source = Source(dataset.pairs("train"), pair_reader(dataset.encoding))
    made = training_batches([source], AUGMENTATION, 2, 0, 0, 4)
    assert made.element_spec == (
        tf.TensorSpec((2, 20, 28, 3), tf.uint8),
        tf.TensorSpec((2, 20, 28), tf.uint8),
    )
    assert len(made) == 4


def test_each_frame_comes_once_an_epoch_in_a_new_order(dataset: Dataset) -> None:
    plain = Augmentation(crop=(24, 32), scales=(1.0,), flip=False)
    seen = [mask[:, 0, 0].tolist() for _, mask in batches(dataset, 0, 40, 1, augmentation=plain)]
    epochs = [tuple(label for (label,) in seen[i : i + 7]) for i in range(0, 35, 7)]
    assert all(sorted(epoch) == list(range(7)) for epoch in epochs)
    assert len(set(epochs)) == 5
    # Of seven frames in batches of two, one waits: no frame twice, and not always the same out.
    assert steps_per_epoch([Source(dataset.pairs("train"), pair_reader(dataset.encoding))], 2) == 3
    seen = [mask[:, 0, 0].tolist() for _, mask in batches(dataset, 0, 30, 2, augmentation=plain)]
    epochs = [tuple(sum(seen[i : i + 3], [])) for i in range(0, 30, 3)]
    assert all(len(set(epoch)) == 6 for epoch in epochs)
    assert len({frozenset(epoch) for epoch in epochs}) > 1


def test_the_frame_stays_with_its_mask(dataset: Dataset) -> None:
    plain = Augmentation(crop=(24, 32), scales=(1.0, 1.5))
    for image, mask in batches(dataset, 0, 12, augmentation=plain):
        np.testing.assert_array_equal(image[..., 0], 30 * mask)


@pytest.mark.parametrize("start", [1, 3, 5, 8])
def test_a_resumed_run_sees_what_it_would_have_seen(start: int, dataset: Dataset) -> None:
    assert_equal(batches(dataset, start, 10), batches(dataset, 0, 10)[start:])


def test_shards_are_parts_of_the_same_batches(dataset: Dataset) -> None:
    whole = batches(dataset, 1, 5, 6)
    parts = [batches(dataset, 1, 5, 6, shard=(i, 3)) for i in range(3)]
    joined = [
        tuple(np.concatenate(arrays) for arrays in zip(*step, strict=True))
        for step in zip(*parts, strict=True)
    ]
    assert_equal(joined, whole)


def test_batches_do_not_hang_on_the_number_of_threads(dataset: Dataset) -> None:
    expected = batches(dataset, 0, 14, 1)
    read: list[Pair] = []

    def late(pair: Pair) -> tuple[np.ndarray, np.ndarray]:
        time.sleep(0.02 * (int(pair.image.stem) % 4))
        read.append(pair)
        return read_pair(pair, dataset.encoding)

    orders = []
    for threads in (1, 7):
        options = tf.data.Options()
        options.threading.private_threadpool_size = threads
        options.autotune.enabled = False
        made = training_batches([Source(dataset.pairs("train"), late)], AUGMENTATION, 1, 5, 0, 14)
        assert_equal(list(made.with_options(options).as_numpy_iterator()), expected)
        orders.append(tuple(read))
        read.clear()
    # Frames did overtake each other.
    assert orders[0] != orders[1]


def test_seeds_differ_and_so_do_the_visits_to_one_frame(dataset: Dataset) -> None:
    first, other = batches(dataset, 0, 3), batches(dataset, 0, 3, seed=6)
    assert any(not np.array_equal(a[0], b[0]) for a, b in zip(first, other, strict=True))
    source = Source(dataset.pairs("train")[3:4], pair_reader(dataset.encoding))
    one = batches(dataset, 0, 6, 1, sources=[source])
    assert len({image.tobytes() for image, _ in one}) > 3


def test_the_cache_saves_reading_and_changes_nothing(
    dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = batches(dataset, 0, 70, 1)
    reads = []

    def counted(pair: Pair, encoding: MaskEncoding) -> tuple[np.ndarray, np.ndarray]:
        reads.append(pair)
        return read_pair(pair, encoding)

    monkeypatch.setattr(pipeline, "read_pair", counted)
    assert_equal(batches(dataset, 0, 70, 1), expected)
    assert len(reads) == 70
    reads.clear()
    cached = Source(dataset.pairs("train"), pair_reader(dataset.encoding, cache=True))
    assert_equal(batches(dataset, 0, 70, 1, sources=[cached]), expected)
    # Threads that want one pair at once may each read it, in the first epoch or two.
    assert set(reads) == set(dataset.pairs("train"))
    assert len(reads) < 35
    # A reader outlives the epoch, and so does what it keeps.
    reads.clear()
    assert_equal(batches(dataset, 30, 70, 1, sources=[cached]), expected[30:])
    assert reads == []


def test_a_split_smaller_than_a_batch(dataset: Dataset) -> None:
    with pytest.raises(UsageError, match="has 7 frames, fewer than one batch of 8; lower batch"):
        batches(dataset, 0, 1, 8)


def test_a_bad_file_keeps_its_message(dataset: Dataset) -> None:
    path = dataset.pairs("train")[4].image
    Image.fromarray(np.zeros((24, 32), np.uint8)).save(path)
    with pytest.raises(BadFile) as direct:
        read_pair(dataset.pairs("train")[4], dataset.encoding)
    with pytest.raises(tf.errors.OpError) as error:
        batches(dataset, 0, 6)
    assert reader_error(error.value) == str(direct.value)
    assert str(direct.value).startswith(f"{path}: a gray image; 8-bit RGB is needed")
    assert reader_error(ValueError("something else")) is None


def test_eval_pairs_come_whole_and_in_order(camvid_root: Path) -> None:
    dataset = open_dataset(camvid_root)
    pairs = dataset.pairs("train") * 5
    seen = list(eval_pairs(pairs, dataset.encoding))
    assert [pair for pair, _, _ in seen] == list(pairs)
    for pair, image, mask in seen:
        np.testing.assert_array_equal(image, np.array(Image.open(pair.image)))
        truth = np.array(Image.open(pair.mask))
        np.testing.assert_array_equal(mask, np.where(truth == 11, 255, truth))


def test_eval_pairs_reads_a_few_ahead_and_no_more(
    dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = []

    def noted(pair: Pair, encoding: MaskEncoding) -> tuple[np.ndarray, np.ndarray]:
        started.append(pair)
        return read_pair(pair, encoding)

    monkeypatch.setattr(pipeline, "read_pair", noted)
    reading = eval_pairs(dataset.pairs("train") * 10, dataset.encoding)
    next(reading)
    reading.close()
    assert 1 <= len(started) <= 5


def test_eval_pairs_says_which_file_is_bad(dataset: Dataset) -> None:
    path = dataset.pairs("train")[2].mask
    assert path is not None
    path.write_bytes(b"")
    reading = eval_pairs(dataset.pairs("train"), dataset.encoding)
    next(reading), next(reading)
    with pytest.raises(BadFile, match=r"2.png: an empty file"):
        next(reading)


def sources_of(dataset: Dataset, shares: tuple[float, ...]) -> list[Source]:
    """One for each share, of two pairs more than the last; masks are 0.., 10.., 20.. and so on."""

    def reader(offset: int) -> pipeline.Reader:
        def read(pair: Pair) -> tuple[np.ndarray, np.ndarray]:
            image, mask = read_pair(pair, dataset.encoding)
            return image, mask + np.uint8(offset)

        return read

    pairs = dataset.pairs("train")
    return [Source(pairs[: 3 + 2 * i], reader(10 * i), s) for i, s in enumerate(shares)]


def labels_seen(dataset: Dataset, shares: tuple[float, ...], steps: int, size: int) -> np.ndarray:
    plain = Augmentation(crop=(24, 32), scales=(1.0,), flip=False)
    sources = sources_of(dataset, shares)
    made = batches(dataset, 0, steps, size, sources=sources, augmentation=plain)
    return np.array([mask[:, 0, 0] for _, mask in made])


def test_one_dataset_has_the_order_it_has_always_had(dataset: Dataset) -> None:
    seen = labels_seen(dataset, (1.0,), 6, 1).ravel()
    orders = [np.random.default_rng([5, epoch]).permutation(3) for epoch in range(2)]
    assert seen.tolist() == np.concatenate(orders).tolist()


@pytest.mark.parametrize("shares", [(1.0, 1.0), (0.6, 0.2, 0.2), (5.0, 2.0, 1.0)])
def test_every_batch_has_the_shares_of_the_datasets(
    shares: tuple[float, ...], dataset: Dataset
) -> None:
    seen = labels_seen(dataset, shares, 40, 4)
    wanted = np.array(shares) / sum(shares)
    for step, batch in enumerate(seen // 10):
        counts = np.bincount(batch, minlength=len(shares))
        assert (np.abs(counts - 4 * wanted) < 2).all(), (step, counts)
    total = np.bincount((seen // 10).ravel(), minlength=len(shares)) / seen.size
    np.testing.assert_allclose(total, wanted, atol=0.02)
    # All frames of a dataset come equally often, but for an epoch's remainder.
    for i, share in enumerate(shares):
        counts = np.bincount(seen[seen // 10 == i] - 10 * i, minlength=3 + 2 * i)
        assert counts.min() > 0 and len(counts) == 3 + 2 * i, share
    assert steps_per_epoch(sources_of(dataset, shares), 3) == int(3 / wanted[0] / 3)


def test_several_datasets_resume_and_are_sharded_as_one_is(dataset: Dataset) -> None:
    sources = sources_of(dataset, (0.5, 0.3, 0.2))
    whole = batches(dataset, 0, 9, 6, sources=sources)
    assert_equal(batches(dataset, 4, 9, 6, sources=sources), whole[4:])
    parts = [batches(dataset, 0, 9, 6, sources=sources, shard=(i, 2)) for i in range(2)]
    joined = [
        tuple(np.concatenate(arrays) for arrays in zip(*step, strict=True))
        for step in zip(*parts, strict=True)
    ]
    assert_equal(joined, whole)


def test_the_scale_of_a_dataset_multiplies_the_augmentations(dataset: Dataset) -> None:
    read = pair_reader(dataset.encoding)
    enlarged = [Source(dataset.pairs("train"), read, scale=2.0)]
    plain = [Source(dataset.pairs("train"), read)]
    twice = Augmentation(crop=(20, 28), scales=(1.0, 3.0))
    assert_equal(
        batches(dataset, 0, 6, sources=enlarged, augmentation=Augmentation((20, 28), (0.5, 1.5))),
        batches(dataset, 0, 6, sources=plain, augmentation=twice),
    )
