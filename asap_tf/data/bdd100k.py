"""BDD100K semantic segmentation (Yu et al., CVPR 2020): the 19 Cityscapes classes.

    images/10k/{train,val,test}/NAME.jpg
    labels/sem_seg/masks/{train,val}/NAME.png

or, in the release before that, below the folder `seg`:

    images/{train,val,test}/NAME.jpg
    labels/{train,val}/NAME_train_id.png

Masks hold train ids, and 255 where ignored.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from asap_tf.core.errors import UsageError
from asap_tf.data import cityscapes
from asap_tf.data.dataset import Dataset, Pair
from asap_tf.data.pairing import find_files, match

CLASSES = tuple(replace(c, label_id=i) for i, c in enumerate(cityscapes.CLASSES))
"""Cityscapes' classes and colors; the masks' own values are the train ids."""

# Frames, masks and the ending of a mask's name in either release.
_LAYOUTS = (
    ("images/10k", "labels/sem_seg/masks", ".png"),
    ("images", "labels", "_train_id.png"),
)


def layout(root: Path) -> tuple[Path, Path, str] | None:
    """Folder of frames, folder of masks and ending of the masks' names, if `root` has them."""
    for frames, masks, ending in _LAYOUTS:
        if any((root / frames / split).is_dir() for split in ("train", "val", "test")):
            # YOLO's folders have the same names.
            if any((root / masks).glob(f"*/*{ending}")):
                return root / frames, root / masks, ending
    return None


def open_bdd100k(root: Path) -> Dataset:
    """Open a BDD100K folder.

    Args:
        root: The folder that holds `images` and `labels`.

    Returns:
        The dataset with those splits that have a folder of frames; frames of `test` come without
        masks.

    Raises:
        UsageError: if the folders are not laid out as above.
    """
    found = layout(root)
    if found is None:
        looked = " or ".join(f"{frames}/train with {masks}" for frames, masks, _ in _LAYOUTS)
        raise UsageError(f"{root}: not laid out as BDD100K; looked for {looked}")
    frames, masks, ending = found
    splits: dict[str, tuple[Pair, ...]] = {}
    unpaired: list[Path] = []
    for name in ("train", "val", "test"):
        if (frames / name).is_dir():
            splits[name], alone = match(
                find_files(frames / name, (".jpg",)),
                None if name == "test" else find_files(masks / name, (ending,)),
            )
            unpaired += alone
    encoding = cityscapes.TRAIN_ID_ENCODING
    return Dataset("bdd100k", root, CLASSES, encoding, splits, tuple(unpaired))
