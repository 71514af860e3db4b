from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from cityscapesscripts.helpers.labels import labels as official

from asap_tf.core.errors import UsageError
from asap_tf.data import open_dataset
from asap_tf.data.cityscapes import CLASSES, LABEL_ID_ENCODING, LABELS, TRAIN_ID_ENCODING


def test_the_table_is_the_official_one() -> None:
    ours = [(c.name, c.label_id, c.category, c.color) for c in LABELS]
    assert ours == [(label.name, label.id, label.category, label.color) for label in official]


def test_classes_are_in_the_official_order() -> None:
    scored = sorted((x for x in official if 0 <= x.trainId < 255), key=lambda x: x.trainId)
    assert [c.name for c in CLASSES] == [label.name for label in scored]
    assert [c.label_id for c in CLASSES] == [label.id for label in scored]


def test_label_ids_decode_as_in_the_official_table() -> None:
    # -1 and the train id -1 of the license plate are both 255 in 8 bits.
    ids = np.array([[label.id for label in official]]).astype(np.uint8)
    train_ids = np.array([[label.trainId for label in official]]).astype(np.uint8)
    np.testing.assert_array_equal(LABEL_ID_ENCODING.decode(ids), train_ids)
    np.testing.assert_array_equal(TRAIN_ID_ENCODING.decode(train_ids), train_ids)
    with pytest.raises(ValueError, match="ids outside the class table: 34, 254;"):
        LABEL_ID_ENCODING.decode(np.uint8([[34, 7, 254]]))
    with pytest.raises(ValueError, match="ids outside the class table: 19;"):
        TRAIN_ID_ENCODING.decode(np.uint8([[19, 18, 255]]))


def test_fine_splits_and_pairs(cityscapes_root: Path) -> None:
    dataset = open_dataset(cityscapes_root)
    assert {split: len(pairs) for split, pairs in dataset.splits.items()} == {
        "train": 3,
        "val": 2,
        "test": 1,
    }
    pair = dataset.pairs("train")[1]
    assert pair.image.name == "aachen_000001_000019_leftImg8bit.png"
    assert pair.mask is not None
    assert pair.mask.name == "aachen_000001_000019_gtFine_labelIds.png"
    assert dataset.pairs("test")[0].mask is None


def test_coarse_has_its_own_splits(cityscapes_root: Path) -> None:
    shutil.copytree(
        cityscapes_root / "leftImg8bit/train", cityscapes_root / "leftImg8bit/train_extra"
    )
    for split in ("train", "train_extra", "val"):
        source = "train" if split == "train_extra" else split
        for mask in (cityscapes_root / "gtFine" / source).rglob("*.png"):
            city = cityscapes_root / "gtCoarse" / split / mask.parent.name
            city.mkdir(parents=True, exist_ok=True)
            shutil.copy(mask, city / mask.name.replace("gtFine", "gtCoarse"))
    dataset = open_dataset(cityscapes_root, annotations="coarse")
    assert {split: len(pairs) for split, pairs in dataset.splits.items()} == {
        "train": 3,
        "train_extra": 3,
        "val": 2,
    }
    assert dataset.unpaired == ()
    assert "train_extra" not in open_dataset(cityscapes_root).splits


def test_train_id_masks_serve_where_no_label_id_masks_are(cityscapes_root: Path) -> None:
    for mask in list((cityscapes_root / "gtFine").rglob("*.png")):
        mask.rename(mask.with_name(mask.name.replace("labelIds", "labelTrainIds")))
    dataset = open_dataset(cityscapes_root)
    assert len(dataset.pairs("train")) == 3
    np.testing.assert_array_equal(dataset.encoding.decode(np.uint8([[18]])), [[18]])


@pytest.mark.parametrize(
    ("train", "val", "told"),
    [
        (
            "labelIds.png",
            "labelTrainIds.png",
            "*_labelIds.png in train; *_labelTrainIds.png in val",
        ),
        ("polygons.json", "polygons.json", "*_polygons.json in train, val; asap-tf data convert"),
        ("color.png", "color.png", "*_color.png in train, val; a dataset.yaml takes the colors"),
    ],
)
def test_masks_of_another_kind_are_told(
    cityscapes_root: Path, train: str, val: str, told: str
) -> None:
    for split, kind in (("train", train), ("val", val)):
        for mask in (cityscapes_root / "gtFine" / split).rglob("*.png"):
            mask.rename(mask.with_name(mask.name.replace("labelIds.png", kind)))
    with pytest.raises(UsageError) as error:
        open_dataset(cityscapes_root)
    assert "of one kind for all splits; there are " + told in str(error.value)


def test_what_has_no_partner_is_exposed(cityscapes_root: Path) -> None:
    frames = cityscapes_root / "leftImg8bit/train/aachen"
    masks = cityscapes_root / "gtFine/train/aachen"
    (frames / "aachen_000000_000019_leftImg8bit.png").unlink()
    (masks / "aachen_000002_000019_gtFine_labelIds.png").unlink()
    dataset = open_dataset(cityscapes_root)
    assert len(dataset.pairs("train")) == 1
    assert dataset.unpaired == (
        masks / "aachen_000000_000019_gtFine_labelIds.png",
        frames / "aachen_000002_000019_leftImg8bit.png",
    )


def test_masks_are_missing_altogether(cityscapes_root: Path) -> None:
    shutil.rmtree(cityscapes_root / "gtFine")
    with pytest.raises(UsageError, match="gtFine: no such folder; it must hold the fine masks"):
        open_dataset(cityscapes_root)
    shutil.rmtree(cityscapes_root / "leftImg8bit/train")
    shutil.rmtree(cityscapes_root / "leftImg8bit/val")
    assert list(open_dataset(cityscapes_root).splits) == ["test"]
