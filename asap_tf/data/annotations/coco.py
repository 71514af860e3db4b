"""COCO's instances: one JSON file for many frames, polygons and runs."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import numpy as np

from asap_tf.core.errors import AsapError
from asap_tf.core.optional import require
from asap_tf.data.annotations.shapes import (
    AnnotatedFrame,
    Annotations,
    Content,
    Region,
    Size,
    annotation_files,
    frame_finder,
    named,
    painted,
    read_json,
)


class _Image(Content):
    id: int | str
    file_name: str
    height: int
    width: int


class _Category(Content):
    id: int
    name: str


class _Runs(Content):
    counts: list[int] | str
    size: list[int]


class _Annotation(Content):
    image_id: int | str
    category_id: int
    segmentation: list[list[float]] | _Runs | None = None
    area: float | None = None


class _File(Content):
    images: list[_Image]
    categories: list[_Category]
    annotations: list[_Annotation]


def read(source: Path) -> Annotations:
    """Every image of the JSON files, drawn by COCO's own tools; smaller instances over larger ones.

    The split is the file's name without what COCO and Roboflow put around it, or its folder's.

    Raises:
        AsapError: if pycocotools is not installed, or a file is none of COCO's.
    """
    require("pycocotools", "coco")
    find = frame_finder(source)
    files = {file: read_json(file, _File) for file in annotation_files(source, ".json")}
    names: dict[str, int] = {}
    for content in files.values():
        for category in sorted(content.categories, key=lambda c: c.id):
            names.setdefault(category.name, len(names))
    frames, unmapped = [], []
    for file, content in files.items():
        train_ids = {c.id: names[c.name] for c in content.categories}
        shapes: dict[int | str, list[tuple[int, Region]]] = {i.id: [] for i in content.images}
        # Without an area it is drawn first: it is likely to be what is behind all others.
        for a in sorted(content.annotations, key=lambda a: -(a.area or np.inf)):
            where = f"{file}: annotation of image {a.image_id}"
            if a.image_id not in shapes or a.category_id not in train_ids:
                unmapped.append(f"{where}: no such image, or no category {a.category_id}")
            elif not a.segmentation:
                unmapped.append(f"{where}: no segmentation")
            else:
                region = functools.partial(_region, a.segmentation)
                shapes[a.image_id].append((train_ids[a.category_id], region))
        for image in content.images:
            path = find(image.file_name)
            if path is None:
                unmapped.append(f"{file}: no frame {image.file_name}")
                continue
            said = (image.height, image.width)
            labels = functools.partial(painted, shapes[image.id], said=said)
            frames.append(AnnotatedFrame(path, labels, _split(file, source)))
    return Annotations(named(list(names)), frames, unmapped)


def _split(file: Path, source: Path) -> str:
    stem = file.stem.lower().removesuffix(".coco").replace("_annotations", "")
    words = stem.replace("-", "_").split("_") + [file.parent.name.lower()] * (file != source)
    return next(
        (w.removesuffix("2017") for w in words if w.startswith(("train", "val", "test"))), ""
    )


def _region(segmentation: Any, size: Size) -> np.ndarray:
    from pycocotools import mask

    try:
        if isinstance(segmentation, _Runs):
            if tuple(segmentation.size) != size:
                raise ValueError(f"runs of a frame of {segmentation.size}")
            runs = segmentation.model_dump()
            runs = runs if isinstance(runs["counts"], str) else mask.frPyObjects(runs, *size)
        else:
            runs = mask.merge(mask.frPyObjects(segmentation, *size))
        return mask.decode(runs).astype(bool)
    except (TypeError, IndexError) as error:
        raise AsapError(f"a segmentation that is none: {error}") from error
