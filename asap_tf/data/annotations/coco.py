"""COCO's instances and panoptic segments: one JSON file for many frames."""

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
from asap_tf.data.images import BadFile, read_image


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


class _Segment(Content):
    id: int
    category_id: int


class _Annotation(Content):
    image_id: int | str
    category_id: int = 0
    segmentation: list[list[float]] | _Runs | None = None
    area: float | None = None
    file_name: str = ""
    segments_info: list[_Segment] | None = None


class _File(Content):
    images: list[_Image]
    categories: list[_Category]
    annotations: list[_Annotation]


def read(source: Path) -> Annotations:
    """Every image of the JSON files.

    Instances are drawn by COCO's own tools, smaller ones over larger ones. Panoptic segments are
    read from PNGs beside the JSON file, or in the folder of its name, and what is in none of them
    is not to be learned. The split is the file's name without what COCO and Roboflow put around
    it, or its folder's.

    Raises:
        AsapError: if pycocotools is missing for instances, or a file is none of COCO's.
    """
    files = {file: read_json(file, _File) for file in annotation_files(source, ".json")}
    pngs = {
        (file, a.image_id): _png(file, a.file_name)
        for file, content in files.items()
        for a in content.annotations
        if a.segments_info is not None
    }
    if any(a.segments_info is None for c in files.values() for a in c.annotations):
        require("pycocotools", "coco")
    find = frame_finder(source, leave_out=set(pngs.values()))
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
            parts = [a] if a.segments_info is None else a.segments_info
            missing = {part.category_id for part in parts} - train_ids.keys()
            if a.image_id not in shapes or missing:
                of = f", or no category {min(missing)}" if missing else ""
                unmapped.append(f"{where}: no such image{of}")
            elif a.segments_info is not None:
                png = pngs[file, a.image_id]
                shapes[a.image_id] += [
                    (train_ids[s.category_id], functools.partial(_segment, png, s.id))
                    for s in a.segments_info
                ]
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
    return Annotations(named(list(names)), frames, unmapped, is_complete=bool(pngs))


def _png(file: Path, name: str) -> Path:
    """The PNG of panoptic segments that a JSON file names."""
    beside = file.parent / name
    return beside if beside.is_file() else file.with_suffix("") / name


@functools.lru_cache(maxsize=1)
def _numbers(png: Path) -> np.ndarray:
    """Numbers of the segments, int32 `(H, W)`."""
    return read_image(png).astype(np.int32) @ np.array([1, 256, 256**2], np.int32)


def _segment(png: Path, number: int, size: Size) -> np.ndarray:
    try:
        numbers = _numbers(png)
    except BadFile as error:
        raise ValueError(str(error)) from error
    if numbers.shape != size:
        raise ValueError(f"{png} has {numbers.shape[1]} x {numbers.shape[0]} pixels")
    return numbers == number


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
