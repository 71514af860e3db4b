"""Folders in Pascal VOC's layout, converted, against masks of scenes."""

from __future__ import annotations

import numpy as np
from PIL import Image

from asap_tf.data.convert import convert
from support.scenes import agreement


def test_voc(source):
    colors = {
        "background": (0, 0, 0),
        "road": (128, 0, 0),
        "car": (0, 128, 0),
        "sign": (128, 128, 0),
    }
    masks, lists = source.folder / "SegmentationClass", source.folder / "ImageSets/Segmentation"
    lists.mkdir(parents=True)
    lines = [f"{name}:{','.join(map(str, color))}::" for name, color in colors.items()]
    (source.folder / "labelmap.txt").write_text("\n".join(["# label:color:parts:actions", *lines]))
    (lists / "train.txt").write_text("drive0/0\ndrive1/1\ndrive0/2\n")
    (lists / "val.txt").write_text("drive1/3\n")
    for i, (name, labels) in enumerate(source.frames.items()):
        file = masks / name
        file.parent.mkdir(parents=True, exist_ok=True)
        ids = np.where(labels == 255, 0, labels + 1).astype(np.uint8)
        if i % 2:
            Image.fromarray(np.uint8(list(colors.values()))[ids]).save(file)
        else:
            Image.fromarray(ids).save(file)
    frames = source.folder / "JPEGImages"
    frames.mkdir()
    for drive in ("drive0", "drive1"):
        (source.folder / drive).rename(frames / drive)
    source.frames = {f"JPEGImages/{name}": labels for name, labels in source.frames.items()}
    made = convert(source.folder, source.out, "voc")
    assert made.counts == {"train": 3, "val": 1} and made.classes == list(colors)
    assert agreement(source) == 1
