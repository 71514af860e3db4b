"""Pascal VOC's segmentation: masks, and lists of the frames of each split."""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np

from asap_tf.core.errors import AsapError, UsageError
from asap_tf.core.labels import IGNORE_LABEL, LabelClass
from asap_tf.data.annotations.shapes import AnnotatedFrame, Annotations, Size, frame_finder
from asap_tf.data.encodings import ColorEncoding, IndexEncoding
from asap_tf.data.images import BadFile, read_mask

NAMES = (
    "background aeroplane bicycle bird boat bottle bus car cat chair cow diningtable dog horse "
    "motorbike person pottedplant sheep sofa train tvmonitor"
).split()
VOID = (224, 224, 192)


def read(source: Path) -> Annotations:
    """Every mask of `SegmentationClass`, of ids or of colors.

    The classes are VOC's 21, or those of a `labelmap.txt` (`name:red,green,blue::`). The splits are
    the lists in `ImageSets/Segmentation`.
    """
    masks = next((f for f in source.rglob("SegmentationClass") if f.is_dir()), None)
    if masks is None:
        raise UsageError(f"{source}: no folder SegmentationClass in it")
    root = masks.parent
    classes = _classes(root / "labelmap.txt")
    find = frame_finder(source)
    splits: dict[str, str] = {}
    for name in ("trainval", "val", "train"):
        file = root / "ImageSets" / "Segmentation" / f"{name}.txt"
        lines = file.read_text(errors="replace").splitlines() if file.is_file() else []
        splits |= {line.strip(): name.replace("trainval", "") for line in lines}
    frames, unmapped = [], []
    for mask in sorted(masks.rglob("*.png")):
        key = mask.relative_to(masks).with_suffix("").as_posix()
        found = (find(f"JPEGImages/{key}{e}") for e in (".jpg", ".png", ".jpeg"))
        image = next(filter(None, found), None)
        if image is None or image == mask:
            unmapped.append(f"{mask}: no frame JPEGImages/{key}.jpg")
            continue
        labels = functools.partial(_labels, mask, classes)
        frames.append(AnnotatedFrame(image, labels, splits.get(key, "")))
    return Annotations(classes, frames, unmapped, is_complete=True)


def _classes(labelmap: Path) -> list[LabelClass]:
    if not labelmap.is_file():
        return [LabelClass(name, _color(i), name, i) for i, name in enumerate(NAMES)]
    classes: list[LabelClass] = []
    for number, line in enumerate(labelmap.read_text(errors="replace").splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        try:
            name, color, *_ = line.split(":")
            red, green, blue = (int(np.uint8(int(c))) for c in color.split(","))
        except (ValueError, OverflowError) as error:
            raise AsapError(f"{labelmap}: line {number}: not name:red,green,blue::") from error
        classes.append(LabelClass(name, (red, green, blue), name, len(classes)))
    return classes


def _color(index: int) -> tuple[int, int, int]:
    """VOC's color of a class: the bits of its number dealt out to red, green and blue."""
    bits = [[index >> (3 * i + channel) & 1 for i in range(3)] for channel in range(3)]
    red, green, blue = (sum(bit << (7 - i) for i, bit in enumerate(bs)) for bs in bits)
    return red, green, blue


def _labels(mask: Path, classes: list[LabelClass], size: Size) -> np.ndarray:
    ids = IndexEncoding({i: i for i in range(len(classes))} | {IGNORE_LABEL: IGNORE_LABEL})
    try:
        labels = read_mask(mask, ids)
    except BadFile:
        colors = {VOID: IGNORE_LABEL} | {c.color: i for i, c in enumerate(classes)}
        labels = read_mask(mask, ColorEncoding(colors))
    if labels.shape != size:
        raise ValueError(f"its mask has {labels.shape[1]} x {labels.shape[0]} pixels")
    return labels
