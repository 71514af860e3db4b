"""Scores of a model over a split, at the resolution of the labels."""

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

from asap_tf.core.distributed import Hosts
from asap_tf.core.errors import UsageError, nearest
from asap_tf.core.files import written_whole
from asap_tf.core.labels import IGNORE_LABEL, LabelClass, LabelTable, relate
from asap_tf.core.progress import ProgressBar
from asap_tf.core.sizes import network_side, size_of_frame
from asap_tf.data.dataset import Dataset, Pair
from asap_tf.data.pipeline import eval_pairs
from asap_tf.inference.boundaries import (
    BoundaryScores,
    boundary_counts,
    boundary_f_score,
    near_boundaries,
)
from asap_tf.inference.breakdown import PARTS, Breakdown, part_counts
from asap_tf.inference.metrics import (
    Scores,
    confusion_matrix,
    in_classes_of_data,
    labels_of_data,
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
        boundary: Scores of boundaries; None if these were not asked for.
        parts: IoU by parts of the pixels, those that were asked for.
    """

    matrix: np.ndarray
    scores: Scores
    frames: list[FrameScore]
    seconds: float
    table: LabelTable
    boundary: BoundaryScores | None = None
    parts: tuple[Breakdown, ...] = ()

    @property
    def num_frames(self) -> int:
        """Number of scored frames."""
        return len(self.frames)

    def summary(self) -> str:
        """The scores as text; under what was compared, where the classes differ."""
        text = self.scores.table()
        if self.boundary:
            text += f"\n{self.boundary.summary()}"
        for part in self.parts:
            text += f"\n\n{part.table()}"
        if self.table.is_identity:
            return text
        return f"compared:\n{self.table.summary()}\n\n{text}"

    def to_dict(self) -> dict[str, object]:
        """The scores as plain data for JSON, with what was compared, where the classes differ."""
        compared = {} if self.table.is_identity else {"compared": self.table.names()}
        more = {f"by_{part.kind}": part.to_dict() for part in self.parts}
        if self.boundary:
            more["boundary"] = self.boundary.to_dict()
        return {**self.scores.to_dict(), **more, **compared}

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
    by: Sequence[str] = (),
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
            on their own (see `near_boundaries`), and boundaries agree; None for whole frames only.
        by: Parts of the pixels to score apart, keys of `asap_tf.inference.breakdown.PARTS`.

    Raises:
        UsageError: if the classes have nothing in common, the split has no masks, a scale or
            `boundary` is not positive, or `by` names no parts.
        AsapError: if a file cannot be read.

    Examples:
        >>> evaluation = evaluate(load("run"), open_dataset("cityscapes"), scales=(0.75, 1, 1.25))
        >>> print(evaluation.scores.table())
    """
    if not scales or not all(math.isfinite(s) and s > 0 for s in scales):
        raise UsageError(f"`scales` {list(scales)}: one or more numbers above 0 are needed")
    if boundary is not None and boundary < 1:
        raise UsageError(f"`boundary` {boundary}: at least 1 pixel is needed")
    for kind in by:
        if kind not in PARTS:
            raise UsageError(f"`by` '{kind}': {nearest(kind, PARTS)}")
    related = relate(dataset.classes, segmenter.classes, table)
    require_masks(dataset, split)
    hosts = hosts or Hosts()
    pairs = dataset.pairs(split)
    shard = hosts.shard(pairs)
    counts: dict[str, np.ndarray] = {}
    frames: list[tuple[float, float]] = []
    start = time.perf_counter()
    progress = ProgressBar(
        eval_pairs(shard, dataset.encoding), "evaluating", len(shard), unit="frame"
    )
    for _, image, truth in progress:
        prediction = _predict(segmenter, image, scales, flip)
        found = _counts(truth, prediction, related, boundary, by)
        scores = Scores.from_confusion(found["all"], dataset.classes)
        frames.append((scores.miou, scores.pixel_accuracy))
        counts = {name: counts.get(name, 0) + count for name, count in found.items()}
    everyone = hosts.all_gather(({name: count.tolist() for name, count in counts.items()}, frames))
    total = {
        name: np.sum([np.array(part[name]) for part, _ in everyone if part], axis=0)
        for name in everyone[0][0]
    }
    scored = [
        FrameScore(pair, *everyone[i % hosts.count][1][i // hosts.count])
        for i, pair in enumerate(pairs)
    ]
    boundaries = None
    if boundary:
        near = Scores.from_confusion(total["near"], dataset.classes)
        boundaries = BoundaryScores(boundary, near, boundary_f_score(total["edges"]))
    return Evaluation(
        total["all"],
        Scores.from_confusion(total["all"], dataset.classes),
        scored,
        time.perf_counter() - start,
        related,
        boundaries,
        tuple(Breakdown(kind, dataset.classes, total[kind]) for kind in by),
    )


def _counts(
    truth: np.ndarray,
    prediction: np.ndarray,
    table: LabelTable,
    boundary: int | None,
    by: Sequence[str],
) -> dict[str, np.ndarray]:
    """What is counted in a frame, by name; sums over frames are what scores are made of."""

    def matrix(truth: np.ndarray) -> np.ndarray:
        found = confusion_matrix(truth, prediction, len(table.classes), len(table.targets))
        return in_classes_of_data(found, table)

    counts = {"all": matrix(truth)}
    labels = (*labels_of_data(truth, prediction, table), len(table.classes))
    if boundary is not None:
        near = near_boundaries(truth, boundary)
        counts["near"] = matrix(np.where(near, truth, np.uint8(IGNORE_LABEL)))
        counts["edges"] = boundary_counts(*labels[:2], boundary, labels[2])
    return counts | {kind: part_counts(kind, *labels) for kind in by}


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
