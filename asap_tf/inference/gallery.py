"""Predictions of several models on the same frames, beside the truth."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from asap_tf.core.errors import UsageError, shown
from asap_tf.data.dataset import Dataset
from asap_tf.data.images import read_pair
from asap_tf.inference.evaluate import evaluate, require_same_classes
from asap_tf.inference.visualize import contact_sheet, overlay
from asap_tf.runtime import Segmenter


def gallery(
    models: Mapping[str, Segmenter], dataset: Dataset, split: str = "val", count: int = 3
) -> np.ndarray:
    """A sheet of the frames that the models label best, and of those they label worst.

    Args:
        models: Models by the name to show.
        dataset: Dataset with the same classes as all models.
        split: Name of a split with masks.
        count: Number of best and of worst frames; a split with fewer frames is shown whole.

    Returns:
        uint8 `(height, width, 3)`, RGB. A row for each frame: the frame, the truth, and each
        model's prediction, under each model's mIoU on it. Frames are ranked by the mean of these.

    Raises:
        UsageError: if the classes differ, the split has no masks, or `count` is under 1.
        AsapError: if a file cannot be read.
    """
    if count < 1:
        raise UsageError(f"`count` {count}: a gallery needs at least one frame")
    scores: dict[str, list[float]] = {}
    for name, segmenter in models.items():
        require_same_classes(segmenter.classes, dataset)
        frames = evaluate(segmenter, dataset, split).frames
        scores[name] = [frame.miou for frame in frames]
    pairs = dataset.pairs(split)
    means = np.mean(list(scores.values()), axis=0)
    # nan, a frame without labels, is sorted last.
    ranked = [i for i in np.argsort(-means) if not np.isnan(means[i])]
    rows, captions = [], []
    for rank, i in enumerate(ranked):
        if count <= rank < len(ranked) - count:
            continue
        frame, truth = read_pair(pairs[i], dataset.encoding)
        seen = [model.predict(frame[np.newaxis])[0] for model in models.values()]
        rows.append(
            [frame, *(overlay(frame, labels, dataset.palette) for labels in (truth, *seen))]
        )
        place = f"{'best' if rank < count else 'worst'}, {rank + 1} of {len(ranked)}"
        results = ", ".join(f"{name} {100 * scores[name][i]:.1f}" for name in models)
        captions.append(f"{place}: {shown(pairs[i].image.name)}: frame, truth, {results}")
    return contact_sheet(rows, captions, dataset.classes, width=400 * (2 + len(models)))
