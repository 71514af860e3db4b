"""Scores of a model over a split, at the resolution of the labels, and of the baseline."""

from __future__ import annotations

import csv
import math
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from tqdm import tqdm

from asap_tf.core.distributed import Hosts
from asap_tf.core.errors import UsageError
from asap_tf.core.files import written_whole
from asap_tf.core.labels import IGNORE_LABEL, LabelClass, LabelTable, relate
from asap_tf.core.resize import resize_nearest
from asap_tf.core.sizes import network_side, size_of_frame
from asap_tf.data.dataset import Dataset, Pair
from asap_tf.data.images import read_mask
from asap_tf.data.pipeline import eval_pairs
from asap_tf.inference.metrics import (
    Scores,
    confusion_matrix,
    in_classes_of_data,
    near_boundaries,
)

if TYPE_CHECKING:
    from asap_tf.runtime import Segmenter


@dataclass(frozen=True)
class FrameScore:
    """Scores of one frame alone, 0..1; nan for a frame without a labeled pixel."""

    pair: Pair
    miou: float
    pixel_accuracy: float


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Result of `evaluate`.

    Attributes:
        matrix: Confusion matrix of the split, int64 `(C, C)`, rows truth, columns prediction;
            see `in_classes_of_data` for a network of other classes.
        scores: Scores of `matrix`.
        frames: Scores of each frame, in the order of the split.
        seconds: Wall time of the whole pass, reading and scoring included.
        table: Table of the dataset's and the network's classes.
        boundary: Scores of the pixels near boundaries, and up to how many pixels from them; None if
            that was not asked for.
    """

    matrix: np.ndarray
    scores: Scores
    frames: list[FrameScore]
    seconds: float
    table: LabelTable
    boundary: tuple[int, Scores] | None = None

    @property
    def num_frames(self) -> int:
        """Number of scored frames."""
        return len(self.frames)

    def summary(self) -> str:
        """The scores as text; under what was compared, where the classes differ."""
        text = self.scores.table()
        if self.boundary:
            width, near = self.boundary
            text += f"\nmIoU within {width} pixels of a boundary: {near.miou:.2%}"
        if self.table.is_identity:
            return text
        return f"compared:\n{self.table.summary()}\n\n{text}"

    def to_dict(self) -> dict[str, object]:
        """The scores as plain data for JSON, with what was compared, where the classes differ."""
        compared = {} if self.table.is_identity else {"compared": self.table.names()}
        near = {}
        if self.boundary:
            near["boundary"] = {"pixels": self.boundary[0], **self.boundary[1].to_dict()}
        return {**self.scores.to_dict(), **near, **compared}

    def write_frames(self, path: Path) -> None:
        """Writes each frame's scores as CSV, in percent; empty for one without a labeled pixel.

        Raises:
            Unwritable: if it cannot be written.
        """
        with (
            written_whole(path) as aside,
            aside.open("w", newline="", encoding="utf-8", errors="surrogateescape") as file,
        ):
            rows = csv.writer(file)
            rows.writerow(["frame", "miou", "pixel_accuracy"])
            for frame in self.frames:
                scores = (frame.miou, frame.pixel_accuracy)
                shown = ("" if math.isnan(score) else f"{100 * score:.2f}" for score in scores)
                rows.writerow([os.fspath(frame.pair.image), *shown])

    def ranked(self) -> list[FrameScore]:
        """Frames by mIoU, best first; frames without a labeled pixel are omitted."""
        scored = (frame for frame in self.frames if not math.isnan(frame.miou))
        return sorted(scored, key=lambda frame: frame.miou, reverse=True)


def evaluate(
    segmenter: Segmenter,
    dataset: Dataset,
    split: str = "val",
    scales: Sequence[float] = (1.0,),
    flip: bool = False,
    hosts: Hosts | None = None,
    table: Mapping[str, Sequence[str]] | None = None,
    boundary: int | None = None,
) -> Evaluation:
    """Scores a model on every frame of a split, frame by frame.

    With scales other than `(1.0,)`, or with `flip`, the softmax probabilities of all passes are
    averaged at the size of the frame before the class is chosen.

    Args:
        segmenter: Any artifact that `asap_tf.runtime.load` opens.
        dataset: Dataset to score on.
        split: Name of the split to score; it needs masks.
        scales: Factors of the network size (`segmenter.size`, or the frame's own where the
            network takes any); the result is rounded to multiples of 32.
        flip: Whether to add a mirrored pass for each scale.
        hosts: Hosts that score a part of the frames each, and all get the result of the whole
            split; None for this one alone.
        table: Names of the segmenter's classes that each of the dataset's may be, as `load_table`
            reads them; None compares classes of the same name.
        boundary: Pixels from a boundary of two classes up to which pixels are scored a second time,
            on their own (see `near_boundaries`); None for the whole frames only.

    Raises:
        UsageError: if the classes have nothing in common, the split has no masks, or a scale or
            `boundary` is not positive.
        AsapError: if a file cannot be read.

    Examples:
        >>> evaluation = evaluate(load("run"), open_dataset("cityscapes"), scales=(0.75, 1, 1.25))
        >>> print(evaluation.scores.table())
    """
    if not scales or not all(math.isfinite(s) and s > 0 for s in scales):
        raise UsageError(f"`scales` {list(scales)}: one or more numbers above 0 are needed")
    if boundary is not None and boundary < 1:
        raise UsageError(f"`boundary` {boundary}: at least 1 pixel is needed")
    related = relate(dataset.classes, segmenter.classes, table)
    require_masks(dataset, split)
    hosts = hosts or Hosts()
    pairs = dataset.pairs(split)
    shard = hosts.shard(pairs)
    num_classes, num_predicted = len(dataset.classes), len(segmenter.classes)
    total, near = np.zeros((2, num_classes, num_predicted), np.int64)
    frames: list[tuple[float, float]] = []
    start = time.perf_counter()
    progress = tqdm(
        eval_pairs(shard, dataset.encoding), "evaluating", len(shard), unit="frame", disable=None
    )
    for _, image, truth in progress:
        prediction = _predict(segmenter, image, scales, flip)
        matrix = confusion_matrix(truth, prediction, num_classes, num_predicted)
        scores = Scores.from_confusion(in_classes_of_data(matrix, related), dataset.classes)
        frames.append((scores.miou, scores.pixel_accuracy))
        total += matrix
        if boundary is not None:
            kept = np.where(near_boundaries(truth, boundary), truth, np.uint8(IGNORE_LABEL))
            near += confusion_matrix(kept, prediction, num_classes, num_predicted)
    everyone = hosts.all_gather(([total.tolist(), near.tolist()], frames))
    both = np.sum([np.array(matrices, np.int64) for matrices, _ in everyone], axis=0)
    total, near = (in_classes_of_data(matrix, related) for matrix in both)
    scored = [
        FrameScore(pair, *everyone[i % hosts.count][1][i // hosts.count])
        for i, pair in enumerate(pairs)
    ]
    seconds = time.perf_counter() - start
    scores = Scores.from_confusion(total, dataset.classes)
    bordering = (boundary, Scores.from_confusion(near, dataset.classes)) if boundary else None
    return Evaluation(total, scores, scored, seconds, related, bordering)


def location_prior(dataset: Dataset, split_train: str = "train", split_val: str = "val") -> Scores:
    """Scores the baseline that ignores the frame: the most frequent class of each position.

    A camera behind a windshield sees road below and sky above, so this is what a model of street
    scenes has to beat. Masks are resized to the first one (nearest neighbor) for counting, and the
    prior to each mask for scoring. A position that is never labeled in training takes the most
    frequent class of all; of equally frequent classes the first wins.

    Memory: 4 bytes per position and class, 160 MB for 19 classes at 1024 x 2048.

    Args:
        dataset: Dataset of which the masks are read.
        split_train: Name of the split to count.
        split_val: Name of the split to score.

    Raises:
        UsageError: if a split has no masks.
        AsapError: if a mask cannot be read.
    """
    train, val = require_masks(dataset, split_train), require_masks(dataset, split_val)
    num_classes = len(dataset.classes)
    size = read_mask(train[0], dataset.encoding).shape
    counts = np.zeros((*size, num_classes), np.uint32)
    for path in tqdm(train, "counting labels", unit="mask", disable=None):
        flat = resize_nearest(read_mask(path, dataset.encoding), size).ravel()
        labeled = np.flatnonzero(flat != IGNORE_LABEL)
        # Each position occurs once, so that indexing counts as np.bincount does, without its copy.
        counts.reshape(-1)[labeled * num_classes + flat[labeled]] += 1
    prior = counts.argmax(axis=-1).astype(np.uint8)
    prior[~counts.any(axis=-1)] = counts.sum(axis=(0, 1), dtype=np.int64).argmax()

    total = np.zeros((num_classes, num_classes), np.int64)
    for path in tqdm(val, "scoring the prior", unit="mask", disable=None):
        truth = read_mask(path, dataset.encoding)
        total += confusion_matrix(truth, resize_nearest(prior, truth.shape), num_classes)
    return Scores.from_confusion(total, dataset.classes)


def require_same_classes(classes: Sequence[LabelClass], dataset: Dataset) -> None:
    """Checks that a model's classes are the dataset's, in the same order.

    Raises:
        UsageError: naming both numbers of classes and the names that differ.
    """
    ours, theirs = [c.name for c in classes], [c.name for c in dataset.classes]
    if ours == theirs:
        return
    differing = [
        f"{i} is {model!r} in the model and {data!r} in the data"
        for i, (model, data) in enumerate(zip_longest(ours, theirs, fillvalue="nothing"))
        if model != data
    ]
    more = f"; and {len(differing) - 3} more" if len(differing) > 3 else ""
    raise UsageError(
        f"the model has {len(ours)} classes, {dataset.kind} data at {dataset.root} has "
        f"{len(theirs)}, and they differ: {'; '.join(differing[:3])}{more}; "
        "use a model trained on these classes"
    )


def require_masks(dataset: Dataset, split: str) -> list[Path]:
    """The masks of a split.

    Raises:
        UsageError: if some are missing, or there is no such split.
    """
    pairs = dataset.pairs(split)
    masks = [pair.mask for pair in pairs if pair.mask is not None]
    if len(masks) < len(pairs):
        raise UsageError(
            f"{dataset.root}: {len(pairs) - len(masks)} of {len(pairs)} frames of split '{split}' "
            "have no mask, so it can be neither learned nor scored; choose a labeled split such as "
            "'val'"
        )
    return masks


def _predict(
    segmenter: Segmenter, image: np.ndarray, scales: Sequence[float], flip: bool
) -> np.ndarray:
    """Train ids of one frame, uint8 `(H, W)`."""
    frames = image[np.newaxis]
    if tuple(scales) == (1.0,) and not flip:
        return segmenter.predict(frames)[0]
    height, width = size_of_frame(segmenter.size, image.shape[:2])
    total = np.zeros((*image.shape[:2], len(segmenter.classes)), np.float32)
    for scale in scales:
        size = (network_side(height * scale), network_side(width * scale))
        total += segmenter.probabilities(frames, size)[0]
        if flip:
            mirrored = np.ascontiguousarray(frames[:, :, ::-1])
            total += segmenter.probabilities(mirrored, size)[0, :, ::-1]
    return total.argmax(axis=-1).astype(np.uint8)
