"""Scores of the baseline that looks at no frame."""

from __future__ import annotations

import numpy as np

from asap_tf.core.labels import IGNORE_LABEL
from asap_tf.core.progress import ProgressBar
from asap_tf.core.resize import resize_nearest
from asap_tf.data.dataset import Dataset
from asap_tf.data.images import read_mask
from asap_tf.inference.evaluate import require_masks
from asap_tf.inference.metrics import Scores, confusion_matrix


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
    for path in ProgressBar(train, "counting labels", unit="mask"):
        flat = resize_nearest(read_mask(path, dataset.encoding), size).ravel()
        labeled = np.flatnonzero(flat != IGNORE_LABEL)
        # Each position occurs once, so that indexing counts as np.bincount does, without its copy.
        counts.reshape(-1)[labeled * num_classes + flat[labeled]] += 1
    prior = counts.argmax(axis=-1).astype(np.uint8)
    prior[~counts.any(axis=-1)] = counts.sum(axis=(0, 1), dtype=np.int64).argmax()

    total = np.zeros((num_classes, num_classes), np.int64)
    for path in ProgressBar(val, "scoring the prior", unit="mask"):
        truth = read_mask(path, dataset.encoding)
        total += confusion_matrix(truth, resize_nearest(prior, truth.shape), num_classes)
    return Scores.from_confusion(total, dataset.classes)
