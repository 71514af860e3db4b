from __future__ import annotations

from pathlib import Path

import numpy as np

from asap_tf.data import open_dataset
from asap_tf.data.images import read_pair

NAMES = "sky building pole road sidewalk tree sign fence car pedestrian bicyclist"


def test_classes_and_void(camvid_root: Path) -> None:
    dataset = open_dataset(camvid_root)
    assert [c.name for c in dataset.classes] == NAMES.split()
    assert len({c.color for c in dataset.classes}) == 11
    decoded = dataset.encoding.decode(np.arange(12, dtype=np.uint8)[None])
    assert decoded.tolist() == [[*range(11), 255]]


def test_frames_and_masks_pair_by_name(camvid_root: Path) -> None:
    # Frames may be JPEG while masks are PNG.
    frame = camvid_root / "train/0002.png"
    frame.rename(frame.with_suffix(".jpg"))
    dataset = open_dataset(camvid_root)
    assert [pair.image.name for pair in dataset.pairs("train")] == [
        "0000.png",
        "0001.png",
        "0002.jpg",
        "0003.png",
    ]
    for pair in dataset.pairs("train"):
        assert pair.mask == camvid_root / "trainannot" / f"{pair.image.stem}.png"


def test_only_the_test_split_may_lack_masks(camvid_root: Path) -> None:
    (camvid_root / "train").rename(camvid_root / "test")
    (camvid_root / "valannot").rename(camvid_root / "elsewhere")
    dataset = open_dataset(camvid_root, "camvid")
    assert [pair.mask for pair in dataset.pairs("test")] == [None] * 4
    assert dataset.splits["val"] == ()
    assert len(dataset.unpaired) == 2


def test_the_real_frames(real_data: Path) -> None:
    dataset = open_dataset(real_data / "camvid")
    assert dataset.kind == "camvid" and dataset.unpaired == ()
    assert {split: len(pairs) for split, pairs in dataset.splits.items()} == {
        "train": 367,
        "val": 101,
    }
    image, mask = read_pair(dataset.pairs("val")[0], dataset.encoding)
    assert image.shape == (360, 480, 3) and mask.shape == (360, 480)
    # The street lies below the sky, whatever the drive.
    road, sky = (np.nonzero(mask == i)[0].mean() for i in (3, 0))
    assert road > sky
