"""Batches from pairs of files, read in parallel, in an order that depends on the step alone."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import cv2
import numpy as np

from asap_tf.core.ahead import map_ahead
from asap_tf.core.errors import UsageError
from asap_tf.core.labels import IGNORE_LABEL
from asap_tf.core.system import available_cores
from asap_tf.data.augment import MEAN_COLOR, Augmentation
from asap_tf.data.dataset import MaskEncoding, Pair
from asap_tf.data.images import BadFile, read_image, read_pair
from asap_tf.data.paste import Paste

if TYPE_CHECKING:
    import tensorflow as tf

Reader = Callable[[Pair], tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True, eq=False)
class Source:
    """The training pairs of one dataset.

    Attributes:
        pairs: Pairs of frame and mask.
        read: Reader of these pairs, from `pair_reader`.
        share: Share of the frames of a batch, relative to the other sources'.
        scale: Factor of the augmentation's scales.
        paste: What is pasted into a pair; None for nothing.
    """

    pairs: Sequence[Pair]
    read: Reader
    share: float = 1.0
    scale: float = 1.0
    paste: Paste | None = None


def steps_per_epoch(sources: Sequence[Source], batch_size: int) -> int:
    """Whole batches in one pass over the first source; frames that remain wait for another epoch.

    Raises:
        UsageError: if that has fewer frames than its share of one batch.
    """
    first, total = sources[0], sum(source.share for source in sources)
    frames = int(len(first.pairs) * total / first.share)
    if frames < batch_size:
        raise UsageError(
            f"the training split has {len(first.pairs)} frames, fewer than one batch of "
            f"{batch_size}; lower batch_size"
        )
    return frames // batch_size


def epoch_order(
    sources: Sequence[Source], frames: int, seed: int, epoch: int
) -> list[tuple[Source, Pair]]:
    """What an epoch trains on, in order: any part of it has the shares of the sources.

    A source is permuted anew for every epoch, and as often within one as its share asks for.

    Args:
        sources: Sources of the training.
        frames: Frames of an epoch.
        seed: Seed of the training.
        epoch: Index of the epoch.
    """
    rng = np.random.default_rng([seed, epoch])
    shares = np.cumsum([source.share for source in sources])
    # From the beginning of the training, so that short epochs do not round a source away.
    totals = [np.rint(n * frames * shares / shares[-1]).astype(int) for n in (epoch, epoch + 1)]
    counts = np.diff(totals[1] - totals[0], prepend=0)
    drawn, places = [], []
    for source, count in zip(sources, counts, strict=True):
        size = len(source.pairs)
        permutations = [rng.permutation(size) for _ in range(-(-count // size))]
        chosen = np.concatenate([*permutations, []])[:count].astype(int)
        drawn += [(source, source.pairs[i]) for i in chosen]
        places.append((np.arange(count) + 0.5) / count)
    return [drawn[i] for i in np.argsort(np.concatenate(places), kind="stable")]


def pair_reader(
    encoding: MaskEncoding, cache: bool = False, skip: Callable[[BadFile], None] | None = None
) -> Reader:
    """A function from a pair to its frame, uint8 `(H, W, 3)`, and train ids, uint8 `(H, W)`.

    All pixels of a frame without a mask are ignored.

    Args:
        encoding: Encoding of the dataset's masks.
        cache: Whether to keep decoded pairs in memory, 4 bytes a pixel.
        skip: Function called with the error of a damaged file, instead of which a single ignored
            pixel is returned; None to raise the error.
    """

    def read(pair: Pair) -> tuple[np.ndarray, np.ndarray]:
        try:
            if pair.mask is not None:
                return read_pair(pair, encoding)
            image = read_image(pair.image)
        except BadFile as error:
            if skip is None:
                raise
            skip(error)
            image = np.full((1, 1, 3), MEAN_COLOR, np.uint8)
        return image, np.full(image.shape[:2], IGNORE_LABEL, np.uint8)

    return functools.cache(read) if cache else read


def training_batches(
    sources: Sequence[Source],
    augmentation: Augmentation,
    batch_size: int,
    seed: int,
    start_step: int,
    stop_step: int,
    shard: tuple[int, int] = (0, 1),
) -> tf.data.Dataset:
    """Augmented batches of the steps `start_step` up to, not including, `stop_step`.

    The content of a step depends on `seed` and the step's number alone: a resumed run sees the
    batches that it would have seen, whatever the number of threads and of shards.

    Args:
        sources: Sources, mixed in every batch by their shares; an epoch is a pass over the first.
        augmentation: Augmentation, applied to each pair with its own random numbers.
        batch_size: Number of pairs in a batch, over all shards together; a multiple of theirs.
        seed: Seed, at least 0.
        start_step: First step, counted from the beginning of the training.
        stop_step: Step to stop before.
        shard: Index and number of the equal parts of every batch, one for each host.

    Returns:
        Frames, uint8 `(batch_size, *crop, 3)` RGB, and train ids, uint8 `(batch_size, *crop)`; of
        several shards, the frames of this one alone.

    Raises:
        UsageError: if the first source has fewer pairs than one batch holds.
    """
    import tensorflow as tf

    index, count = shard
    steps = steps_per_epoch(sources, batch_size)
    part = batch_size // count
    # tf.data has threads of its own, with which OpenCV's would compete.
    cv2.setNumThreads(1)

    augmentations = {
        source: replace(
            augmentation, scales=tuple(scale * source.scale for scale in augmentation.scales)
        )
        for source in sources
    }

    @functools.lru_cache(maxsize=2)
    def order(epoch: int) -> list[tuple[Source, Pair]]:
        return epoch_order(sources, steps * batch_size, seed, epoch)

    def sample(number: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        step, place = divmod(int(number), part)
        epoch, step = divmod(step, steps)
        position = step * batch_size + index * part + place
        source, pair = order(epoch)[position]
        rng = np.random.default_rng([seed, epoch, position])
        pasted = source.paste(rng) if source.paste else None
        return augmentations[source](*source.read(pair), rng, pasted)

    def load(number: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        image, mask = tf.numpy_function(sample, [number], [tf.uint8, tf.uint8])
        return tf.ensure_shape(image, (*augmentation.crop, 3)), tf.ensure_shape(
            mask, augmentation.crop
        )

    # At the end of an epoch tf.data's autotuner blocks until its next turn, at worst for as long as
    # the epoch took.
    options = tf.data.Options()
    options.autotune.enabled = False
    return (
        tf.data.Dataset.range(start_step * part, stop_step * part)
        .map(load, num_parallel_calls=available_cores(), deterministic=True)
        .batch(part, drop_remainder=True)
        .prefetch(2)
        .with_options(options)
    )


def reader_error(error: BaseException) -> str | None:
    """The message of a `BadFile` inside the TensorFlow error that it became.

    Returns:
        The message in one line, beginning with the path; None for any other error.
    """
    found = re.search(rf"\b{BadFile.__name__}: (.+)", str(error))
    return found[1].strip() if found else None


def eval_pairs(
    pairs: Sequence[Pair], encoding: MaskEncoding
) -> Iterator[tuple[Pair, np.ndarray, np.ndarray]]:
    """Pairs of a split with their pixels, in order, read ahead of the caller.

    Yields:
        The pair, its frame, uint8 `(H, W, 3)` RGB, and its train ids, uint8 `(H, W)`.

    Raises:
        BadFile: if a file cannot be used.
        UsageError: if a pair has no mask.
    """

    def read(pair: Pair) -> tuple[Pair, np.ndarray, np.ndarray]:
        return pair, *read_pair(pair, encoding)

    with map_ahead(read, pairs, threads=4) as results:
        yield from results
