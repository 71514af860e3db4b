"""CVAT for images 1.1: one XML file for many frames."""

from __future__ import annotations

import functools
from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from asap_tf.core.errors import AsapError
from asap_tf.data.annotations.shapes import (
    LARGEST_FILE,
    AnnotatedFrame,
    Annotations,
    Region,
    Size,
    annotation_files,
    area,
    frame_finder,
    named,
    painted,
    rectangle,
)


def read(source: Path) -> Annotations:
    """Every `<image>` of the XML files, with its polygons, boxes and masks.

    Shapes of a higher `z_order` lie over others. The split is what CVAT calls subset. Lines, points
    and others are not mapped.
    """
    find = frame_finder(source)
    roots = {file: _parse(file) for file in annotation_files(source, ".xml")}
    names = list(
        dict.fromkeys(
            [e.text or "" for root in roots.values() for e in root.iterfind(".//labels/label/name")]
            + [e.get("label", "") for r in roots.values() for e in r.iterfind("image/*[@label]")]
        )
    )
    frames, unmapped = [], []
    for file, root in roots.items():
        for image in root.iterfind("image"):
            name = image.get("name", "")
            where = f"{file}: {name}"
            path = find(name)
            if path is None:
                unmapped.append(f"{where}: no such frame")
                continue
            shapes = []
            try:
                said = int(image.get("height", "")), int(image.get("width", ""))
                for element in sorted(image, key=lambda e: int(e.get("z_order", 0))):
                    region = _region(element)
                    if region is None:
                        unmapped.append(f"{where}: {element.get('label')}: {element.tag}")
                    else:
                        shapes.append((names.index(element.get("label", "")), region))
            except ValueError as error:
                raise AsapError(f"{where}: not as CVAT writes it: {error}") from error
            labels = functools.partial(painted, shapes, said=said)
            frames.append(AnnotatedFrame(path, labels, image.get("subset", "").lower()))
    return Annotations(named(names), frames, unmapped)


def _parse(file: Path) -> ElementTree.Element:
    try:
        if file.stat().st_size > LARGEST_FILE:
            raise ValueError(f"larger than {LARGEST_FILE >> 20} MB")
        content = file.read_bytes()
        if b"<!DOCTYPE" in content or b"<!ENTITY" in content:
            raise ValueError("declares entities, which CVAT never does")
        return ElementTree.fromstring(content)
    except OSError as error:
        raise AsapError(f"{file}: cannot be read ({error.strerror})") from error
    except (ValueError, ElementTree.ParseError) as error:
        raise AsapError(f"{file}: not XML of CVAT's: {error}") from error


def _region(element: ElementTree.Element) -> Region | None:
    """The pixels of a shape; None if it has no area.

    Raises:
        ValueError: if a number is none.
    """
    if element.tag == "polygon":
        points = [p.split(",") for p in element.get("points", "").split(";")]
        return area([(float(x), float(y)) for x, y in points])
    if element.tag == "box":
        return rectangle(*(float(element.get(side, "")) for side in ("xtl", "ytl", "xbr", "ybr")))
    if element.tag == "mask":
        left, top, width, height = (
            int(element.get(key, "")) for key in ("left", "top", "width", "height")
        )
        counts = [int(count) for count in element.get("rle", "").split(",")]
        return functools.partial(_mask, counts, (left, top, width, height))
    return None


def _mask(counts: list[int], box: tuple[int, int, int, int], size: Size) -> np.ndarray:
    """Rows of a box as runs, of pixels outside and inside in turn."""
    left, top, width, height = box
    inside = (0 <= left <= left + width <= size[1]) and (0 <= top <= top + height <= size[0])
    if not inside or min(counts) < 0 or sum(counts) != width * height:
        raise ValueError(f"a mask of {sum(counts)} pixels for a box of {width} x {height}")
    region = np.zeros(size, bool)
    runs = np.repeat(np.arange(len(counts)) % 2 == 1, counts)
    region[top : top + height, left : left + width] = runs.reshape(height, width)
    return region
