"""Datasets: `open_dataset` finds frames, masks and classes in a folder on disk."""

from __future__ import annotations

import os
from pathlib import Path

from asap_tf.core.errors import UsageError, nearest
from asap_tf.data import bdd100k, camvid, cityscapes, folder
from asap_tf.data.dataset import Dataset

KINDS = ("cityscapes", "camvid", "bdd100k", "folder")


def open_dataset(root: str | Path, kind: str | None = None, annotations: str = "fine") -> Dataset:
    """Open a dataset; no file is read except the `dataset.yaml` of a dataset of your own.

    Frames without a mask, and masks without a frame, are in `Dataset.unpaired`;
    `asap_tf.data.check.check_dataset` reports them as defects.

    Args:
        root: Folder of the dataset.
        kind: One of `KINDS`; None detects it from the layout of the folder.
        annotations: `"fine"`, or `"coarse"` for Cityscapes' coarse masks.

    Raises:
        UsageError: if the folder is missing, not laid out as any kind, or an argument is wrong.

    Examples:
        >>> dataset = open_dataset("cityscapes")
        >>> len(dataset.pairs("val")), dataset.classes[0].name
        (500, 'road')
    """
    root = Path(root)
    if not os.path.isdir(root):
        is_file = os.path.exists(root)
        problem = "is a file, not the folder of a dataset" if is_file else "no such folder"
        raise UsageError(f"{root}: {problem}")
    if kind not in (*KINDS, None):
        raise UsageError(f"unknown kind of dataset '{kind}'; {nearest(kind, KINDS)}")
    if annotations not in ("fine", "coarse"):
        raise UsageError(
            f"unknown annotations '{annotations}'; {nearest(annotations, ('fine', 'coarse'))}"
        )
    kind = kind or _kind_of(root)
    if annotations == "coarse" and kind != "cityscapes":
        raise UsageError(f"annotations 'coarse' are Cityscapes' own, but {root} is of kind {kind}")

    if kind == "cityscapes":
        return cityscapes.open_cityscapes(root, annotations)
    openers = {
        "camvid": camvid.open_camvid,
        "bdd100k": bdd100k.open_bdd100k,
        "folder": folder.open_folder,
    }
    return openers[kind](root)


def _kind_of(root: Path) -> str:
    if (root / "dataset.yaml").is_file():
        return "folder"
    if (root / "leftImg8bit").is_dir():
        return "cityscapes"
    if any((root / f"{split}annot").is_dir() for split in ("train", "val", "test")):
        return "camvid"
    if bdd100k.layout(root):
        return "bdd100k"
    raise UsageError(
        f"{root}: not the layout of a known dataset; looked for dataset.yaml (folder), "
        "leftImg8bit (Cityscapes), trainannot (CamVid), images/10k with labels/sem_seg/masks "
        "(BDD100K)"
    )
