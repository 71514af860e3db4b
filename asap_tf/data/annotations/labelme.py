"""Labelme: a JSON file of shapes beside each frame."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Annotated

from pydantic import Field

from asap_tf.data.annotations.shapes import (
    AnnotatedFrame,
    Annotations,
    Content,
    Region,
    annotation_files,
    frame_finder,
    named,
    painted,
    polygon,
    read_json,
    rectangle,
)

_Point = Annotated[list[float], Field(min_length=2, max_length=2)]


class _Shape(Content):
    label: str
    points: list[_Point] = []
    shape_type: str | None = "polygon"


class _File(Content):
    imagePath: str
    imageHeight: int | None = None
    imageWidth: int | None = None
    shapes: list[_Shape]


def read(source: Path) -> Annotations:
    """Every frame that a JSON file with `imagePath` and `shapes` belongs to.

    Later shapes lie over earlier ones. Polygons are filled with their outline and rectangles
    without, as Labelme's own conversion does; points, lines and others are not mapped.
    """
    find = frame_finder(source)
    files = {file: read_json(file, _File) for file in annotation_files(source, ".json")}
    names = sorted({shape.label for content in files.values() for shape in content.shapes})
    frames, unmapped = [], []
    for file, content in files.items():
        beside = file.parent / content.imagePath.replace("\\", "/")
        image = beside if beside.is_file() else find(content.imagePath)
        if image is None:
            unmapped.append(f"{file}: no frame {content.imagePath}")
            continue
        shapes = []
        for shape in content.shapes:
            region = _region(shape)
            if region is None:
                unmapped.append(f"{file}: {shape.label}: {shape.shape_type} of {len(shape.points)}")
            else:
                shapes.append((names.index(shape.label), region))
        said = (content.imageHeight, content.imageWidth)
        known = (said[0], said[1]) if said[0] and said[1] else None
        frames.append(AnnotatedFrame(image, functools.partial(painted, shapes, said=known)))
    return Annotations(named(names), frames, unmapped)


def _region(shape: _Shape) -> Region | None:
    """The pixels of a shape; None if it has no area."""
    if shape.shape_type in ("polygon", None) and len(shape.points) > 2:
        return polygon(shape.points)
    if shape.shape_type == "rectangle" and len(shape.points) == 2:
        (x1, y1), (x2, y2) = shape.points
        return rectangle(min(x1, x2), min(y1, y2), max(x1, x2), max(y1, y2))
    return None
