from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from asap_tf.core.errors import UsageError
from asap_tf.data import open_dataset
from asap_tf.data.cityscapes import CLASSES


def test_the_present_layout(bdd100k_root: Path) -> None:
    # Frames of the detection task lie beside those of segmentation and are left alone.
    (bdd100k_root / "images/100k/train").mkdir(parents=True)
    (bdd100k_root / "images/100k/train/other.jpg").touch()
    dataset = open_dataset(bdd100k_root)
    assert {split: len(pairs) for split, pairs in dataset.splits.items()} == {
        "train": 2,
        "val": 1,
        "test": 1,
    }
    assert dataset.unpaired == ()
    pair = dataset.pairs("train")[1]
    assert pair.image == bdd100k_root / "images/10k/train/00000001.jpg"
    assert pair.mask == bdd100k_root / "labels/sem_seg/masks/train/00000001.png"
    assert dataset.pairs("test")[0].mask is None


def test_the_layout_of_the_former_release(bdd100k_root: Path) -> None:
    root = bdd100k_root.with_name("seg")
    (bdd100k_root / "images/10k").rename(bdd100k_root / "frames")
    root.mkdir()
    (bdd100k_root / "frames").rename(root / "images")
    (root / "labels").mkdir()
    for split in ("train", "val"):
        (bdd100k_root / "labels/sem_seg/masks" / split).rename(root / "labels" / split)
        for mask in list((root / "labels" / split).iterdir()):
            mask.rename(mask.with_name(f"{mask.stem}_train_id.png"))
    dataset = open_dataset(root)
    assert dataset.kind == "bdd100k" and dataset.unpaired == ()
    assert dataset.pairs("val")[0].mask == root / "labels/val/00000000_train_id.png"


def test_yolos_folders_are_not_taken_for_it(tmp_path: Path) -> None:
    for folder, file in (("images/train", "a.jpg"), ("labels/train", "a.txt")):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / file).touch()
    with pytest.raises(UsageError, match="not the layout of a known dataset"):
        open_dataset(tmp_path)


def test_classes_are_cityscapes_with_train_ids_in_the_masks(bdd100k_root: Path) -> None:
    dataset = open_dataset(bdd100k_root)
    assert [(c.name, c.color) for c in dataset.classes] == [(c.name, c.color) for c in CLASSES]
    ids = np.uint8([[c.label_id for c in dataset.classes] + [255]])
    assert dataset.encoding.decode(ids).tolist() == [[*range(19), 255]]
