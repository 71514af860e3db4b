"""The frames that an export is calibrated and proven on."""

from __future__ import annotations

import functools
import hashlib
import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from asap_tf.core.errors import UsageError, shown
from asap_tf.core.labels import LabelClass
from asap_tf.core.resize import resize_frame, resize_nearest
from asap_tf.data import open_dataset
from asap_tf.data.dataset import Dataset, Pair, spread
from asap_tf.data.frames import is_image, read_frame, walk
from asap_tf.data.images import read_image
from asap_tf.data.pipeline import pair_reader

PARITY_FRAMES = 20
"""Fewest frames on which an artifact is compared with the Keras model."""

_USEFUL = 10
"""Frames of use below which a calibration or a proof is worth a warning."""

_CONTRAST = 4
"""Standard deviation, of 255, that some channel needs: a sensor's noise in the dark has less."""

_LOGGER = logging.getLogger("asap_tf")


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

    No file is among both. A warning is given where either are of little use, being flat, copies of
    each other, or small.

    Args:
        root: Dataset, whose training split calibrates and whose validation split proves; without
            one of them, or with a validation split too small, all its frames are taken in turn for
            either. So are the images of any other folder, of any mode, subfolders included. None
            renders Streets, to prove only.
        classes: Classes of the model.
        size: `(H, W)` of the network.
        calibration: Most frames to calibrate on; 0 for none.

    Returns:
        A list of uint8 `(H, W, 3)`, and `PARITY_FRAMES` frames.

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
    train, val = (dataset.splits.get(split, ()) for split in ("train", "val"))
    where = f"the validation split of {dataset.root}"
    if not train or len(val) < PARITY_FRAMES:
        train = val = (*train, *val) or tuple(chain(*dataset.splits.values()))
        where = str(dataset.root)
    chosen, proving = _apart(train, val, calibration, where)
    calibrating, images = _read(chosen, proving, lambda p: read_image(p.image), size, dataset.root)
    truths = None
    if [c.name for c in classes] == [c.name for c in dataset.classes]:
        truths = _truths(proving, dataset, size)
    return calibrating, Frames(images, truths, f"{len(images)} frames of {where}")


def _from_images(
    root: Path, size: tuple[int, int], calibration: int, not_a_dataset: UsageError
) -> tuple[list[np.ndarray], Frames]:
    files = list(filter(is_image, walk(root)))
    if not files:
        raise UsageError(f"{not_a_dataset}; and there are no images in it")
    chosen, proving = _apart(files, files, calibration, str(root))
    calibrating, images = _read(chosen, proving, lambda f: read_frame(f).pixels, size, root)
    return calibrating, Frames(images, None, f"{len(images)} images of {root}")


def _apart(first: Sequence, second: Sequence, calibration: int, where: str) -> tuple[tuple, tuple]:
    """Some to calibrate on, of the first, and others to prove on, of the second.

    Raises:
        UsageError: if there are too few.
    """
    proving = spread(second, PARITY_FRAMES)
    chosen = spread([item for item in first if item not in proving], calibration)
    if len(proving) < PARITY_FRAMES or (calibration and not chosen):
        raise UsageError(
            f"{where} has {len(second)} frames; {PARITY_FRAMES} are needed to prove the export on"
            f"{', and others to calibrate on' if calibration else ''}: add some, give a folder of "
            "images for `calibration`, or leave it out to take rendered streets (not for int8)"
        )
    return chosen, proving


def _read(
    chosen: Sequence,
    proving: Sequence,
    read: Callable[[Any], np.ndarray],
    size: tuple[int, int],
    root: Path,
) -> tuple[list[np.ndarray], np.ndarray]:
    """Frames to calibrate and to prove on, at a size; warns where few are of use."""
    calibrating, seen = _useful(map(read, chosen), size)
    images, unseen = _useful(map(read, proving), size)
    few = [
        f"{len(useful)} of {len(frames)} frames to {task} on"
        for frames, useful, task in (
            (calibrating, seen, "calibrate"),
            (images, unseen - seen, "prove"),
        )
        if frames and len(useful) < _USEFUL
    ]
    if few:
        _LOGGER.warning(
            "%s: %s are of use (no copies, not flat, not enlarged twofold); with fewer than %d, "
            "labels of other frames may be worse than the proof says",
            shown(root),
            " and ".join(few),
            _USEFUL,
        )
    return calibrating, np.stack(images)


def _useful(
    frames: Iterable[np.ndarray], size: tuple[int, int]
) -> tuple[list[np.ndarray], set[bytes]]:
    """Frames at a size, and digests of those that say something about what is to come."""
    resized, useful = [], set()
    for frame in frames:
        image = resize_frame(frame, size)
        resized.append(image)
        is_large = 4 * frame.shape[0] * frame.shape[1] > size[0] * size[1]
        if is_large and image.std(axis=(0, 1)).max() >= _CONTRAST:
            useful.add(hashlib.sha256(image.tobytes()).digest())
    return resized, useful


# Rendering takes as long as the export of a small network; a program may export several.
@functools.lru_cache(maxsize=1)
def _streets(size: tuple[int, int]) -> Frames:
    from asap_tf.streets import render

    images = np.stack([render(seed, *size).image for seed in range(PARITY_FRAMES)])
    return Frames(images, None, f"{len(images)} rendered streets")


def _truths(pairs: Sequence[Pair], dataset: Dataset, size: tuple[int, int]) -> np.ndarray | None:
    if any(pair.mask is None for pair in pairs):
        return None
    read = pair_reader(dataset.encoding)
    masks = [read(pair)[1] for pair in pairs]
    return np.stack([resize_nearest(mask, size) for mask in masks])
