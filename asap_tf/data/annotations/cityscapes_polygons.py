"""Cityscapes' polygons: `*_polygons.json`, of which its script makes the masks."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import Field

from asap_tf.data.annotations.shapes import (
    AnnotatedFrame,
    Annotations,
    Content,
    Region,
    Size,
    annotation_files,
    frame_finder,
    painted,
    polygon,
    read_json,
)
from asap_tf.data.cityscapes import CLASSES, LABEL_ID_ENCODING, LABELS

_Point = Annotated[list[float], Field(min_length=2, max_length=2)]


class _Object(Content):
    label: str
    polygon: list[_Point]
    deleted: bool = False


class _File(Content):
    imgHeight: int
    imgWidth: int
    objects: list[_Object]


def read(source: Path) -> Annotations:
    """Every frame with a file of polygons, in Cityscapes' 19 classes; others are ignored.

    Drawn as by the official script `json2labelImg`: later objects over earlier ones, "cargroup" as
    car, license plates not at all.
    """
    find = frame_finder(source)
    label_ids = {label.name: label.label_id for label in LABELS}
    frames, unmapped = [], []
    for file in annotation_files(source, "_polygons.json"):
        content = read_json(file, _File)
        frame, _, _ = file.name.rpartition("_gt")
        name = f"{frame}_leftImg8bit.png"
        image = find(name)
        if image is None:
            unmapped.append(f"{file}: no frame {name}")
            continue
        shapes: list[tuple[int, Region]] = []
        for thing in content.objects:
            label = thing.label
            label = label if label in label_ids else label.removesuffix("group")
            if label not in label_ids:
                unmapped.append(f"{file}: {label}: none of Cityscapes' labels")
            elif label_ids[label] >= 0 and not thing.deleted and len(thing.polygon) > 1:
                shapes.append((label_ids[label], polygon(thing.polygon)))
        said = (content.imgHeight, content.imgWidth)
        split = file.parent.parent.name
        frames.append(AnnotatedFrame(image, functools.partial(_labels, shapes, said), split))
    return Annotations(CLASSES, frames, unmapped, is_complete=True)


def _labels(shapes: list[tuple[int, Region]], said: Size, size: Size) -> np.ndarray:
    return LABEL_ID_ENCODING.decode(painted(shapes, size, said))
