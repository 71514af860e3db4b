"""The frames that an export is calibrated and proven on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from asap_tf.core.errors import UsageError
from asap_tf.core.labels import LabelClass
from asap_tf.core.resize import resize_bilinear, resize_nearest
from asap_tf.data import open_dataset
from asap_tf.data.dataset import Dataset, Pair
from asap_tf.data.frames import is_image, read_frame, walk
from asap_tf.data.images import read_image
from asap_tf.data.pipeline import pair_reader

PARITY_FRAMES = 20
"""Fewest frames on which an artifact is compared with the Keras model."""


@dataclass(frozen=True, eq=False)
class Frames:
    """Frames at the size of the network.

    Attributes:
        images: RGB, uint8 `(N, H, W, 3)`.
        truths: Train ids, uint8 `(N, H, W)`; None without masks of the model's own classes.
        source: Origin of the frames, for people.
    """

    images: np.ndarray
    truths: np.ndarray | None
    source: str


def export_frames(
    root: Path | None, classes: Sequence[LabelClass], size: tuple[int, int], calibration: int
) -> tuple[list[np.ndarray], Frames]:
    """Frames to calibrate on, and others to prove the result on.

    Args:
        root: Dataset, whose training split calibrates and whose validation split proves; or a
            folder of images of any mode, subfolders included, taken in turn for either. None
            renders Streets, to prove only.
        classes: Classes of the model.
        size: `(H, W)` of the network.
        calibration: Most frames to calibrate on; 0 for none.

    Returns:
        A list of uint8 `(H, W, 3)`, and at least `PARITY_FRAMES` frames.

    Raises:
        UsageError: if there are no or too few images.
        AsapError: if one cannot be read.
    """
    if root is None:
        return [], _streets(size)
    if not root.is_dir():
        problem = "is a file" if root.exists() else "no such folder"
        raise UsageError(f"{root}: {problem}; `calibration` takes a dataset or folder of images")
    try:
        dataset = open_dataset(root)
    except UsageError as not_a_dataset:
        return _from_images(root, size, calibration, not_a_dataset)
    return _from_dataset(dataset, classes, size, calibration)


def _from_dataset(
    dataset: Dataset, classes: Sequence[LabelClass], size: tuple[int, int], calibration: int
) -> tuple[list[np.ndarray], Frames]:
    where = f"validation split of {dataset.root}"
    proving = _spread(_enough(dataset.pairs("val"), where), PARITY_FRAMES)
    chosen = _spread(dataset.pairs("train"), calibration) if calibration else []
    images = np.stack([resize_bilinear(read_image(pair.image), size) for pair in proving])
    truths = None
    if [c.name for c in classes] == [c.name for c in dataset.classes]:
        truths = _truths(proving, dataset, size)
    calibrating = [resize_bilinear(read_image(pair.image), size) for pair in chosen]
    return calibrating, Frames(images, truths, f"{len(images)} frames of the {where}")


def _from_images(
    root: Path, size: tuple[int, int], calibration: int, not_a_dataset: UsageError
) -> tuple[list[np.ndarray], Frames]:
    files = list(filter(is_image, walk(root)))
    if not files:
        raise UsageError(f"{not_a_dataset}; and there are no images in it")
    proving = _spread(_enough(files, str(root)), PARITY_FRAMES)
    others = [f for f in files if f not in proving] or files
    chosen = _spread(others, calibration) if calibration else []
    images = np.stack([resize_bilinear(read_frame(file).pixels, size) for file in proving])
    calibrating = [resize_bilinear(read_frame(file).pixels, size) for file in chosen]
    return calibrating, Frames(images, None, f"{len(images)} images of {root}")


def _streets(size: tuple[int, int]) -> Frames:
    from asap_tf.streets import render

    images = np.stack([render(seed, *size).image for seed in range(PARITY_FRAMES)])
    return Frames(images, None, f"{len(images)} rendered streets")


def _truths(pairs: Sequence[Pair], dataset: Dataset, size: tuple[int, int]) -> np.ndarray:
    read = pair_reader(dataset.encoding)
    masks = [read(pair)[1] for pair in pairs]
    return np.stack([resize_nearest(mask, size) for mask in masks])


def _enough(items: Sequence, where: str) -> Sequence:
    if len(items) < PARITY_FRAMES:
        raise UsageError(
            f"{where} has {len(items)} frames; {PARITY_FRAMES} are needed to prove the export on: "
            "add some, give a folder of images for `calibration`, or leave it out to take rendered "
            "streets (not for int8)"
        )
    return items


def _spread(items: Sequence, count: int) -> list:
    """At most `count` items, evenly spread from first to last."""
    places = np.linspace(0, len(items) - 1, min(count, len(items)))
    return [items[round(place)] for place in places]
