"""Shapes, drawn into label maps as annotation tools draw them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import numpy as np
import pydantic
from PIL import Image, ImageDraw
from pydantic import BaseModel, ConfigDict

from asap_tf.core.errors import AsapError, UsageError
from asap_tf.core.labels import IGNORE_LABEL, LabelClass, numbered_classes
from asap_tf.core.parsing import quoted
from asap_tf.data.frames import walk

Size = tuple[int, int]
Region = Callable[[Size], np.ndarray]
"""From the size of a frame to the pixels of a shape in it, bool `(H, W)`."""

_FINER = 5

LARGEST_FILE = 1 << 30
"""Bytes of one file of annotations; COCO's largest has half as many."""


class Content(BaseModel):
    """What a file holds; entries that are not of use are passed over."""

    model_config = ConfigDict(extra="ignore", allow_inf_nan=False)


AnyContent = TypeVar("AnyContent", bound=Content)


@dataclass(frozen=True)
class AnnotatedFrame:
    """A frame and its labels.

    Attributes:
        image: The frame's file.
        labels: Function from the frame's size to train ids, uint8 `(H, W)`, `IGNORE_LABEL` where
            nothing is annotated. It raises `ValueError` if the annotations are of another size.
        split: Name of its split; empty if the source does not say.
    """

    image: Path
    labels: Callable[[Size], np.ndarray]
    split: str = ""


@dataclass(frozen=True)
class Annotations:
    """The annotations of a dataset.

    Attributes:
        classes: Classes, in the order of their train ids.
        frames: Annotated frames.
        unmapped: What has no place in a label map, in words.
        is_complete: Whether what is not annotated is not to be learned, whatever it is.
    """

    classes: Sequence[LabelClass]
    frames: list[AnnotatedFrame]
    unmapped: list[str]
    is_complete: bool = False


def painted(
    shapes: Sequence[tuple[int, Region]], size: Size, said: Size | None = None
) -> np.ndarray:
    """Shapes painted over each other in their order.

    Args:
        shapes: Train id and region of each.
        size: Size of the frame.
        said: Size of the frame by the annotations, if they give one.

    Returns:
        Train ids, uint8 `(H, W)`, `IGNORE_LABEL` where no shape is.

    Raises:
        ValueError: if the two sizes differ.
    """
    if said is not None and said != size:
        raise ValueError(
            f"the frame has {size[1]} x {size[0]} pixels, its annotations are for "
            f"{said[1]} x {said[0]}"
        )
    labels = np.full(size, IGNORE_LABEL, np.uint8)
    for train_id, region in shapes:
        labels[region(size)] = train_id
    return labels


def polygon(points: Sequence[Sequence[float]]) -> Region:
    """A polygon and its outline, of corners at the centers of pixels.

    Args:
        points: Corners, `(x, y)` in pixels, also beyond the frame.
    """
    corners = [(float(x), float(y)) for x, y in points]

    def region(size: Size) -> np.ndarray:
        image = Image.new("1", size[::-1])
        ImageDraw.Draw(image).polygon(corners, fill=1, outline=1)
        return np.asarray(image)

    return region


def area(points: Sequence[Sequence[float]]) -> Region:
    """The pixels whose centers are within a polygon, to a fifth of a pixel.

    Args:
        points: Corners, `(x, y)` in pixels from the frame's edges, also beyond the frame.
    """
    corners = np.array(points, float)

    def region(size: Size) -> np.ndarray:
        limit = np.array(size[::-1])
        start = np.clip(np.floor(corners.min(axis=0)), 0, limit).astype(int)
        stop = np.clip(np.ceil(corners.max(axis=0)), start, limit).astype(int)
        found = np.zeros(size, bool)
        if (stop > start).all():
            image = Image.new("1", tuple((stop - start) * _FINER))
            fine = (corners - start) * _FINER - 0.5
            ImageDraw.Draw(image).polygon([(x, y) for x, y in fine.tolist()], fill=1)
            centers = np.asarray(image)[_FINER // 2 :: _FINER, _FINER // 2 :: _FINER]
            found[start[1] : stop[1], start[0] : stop[0]] = centers
        return found

    return region


def rectangle(left: float, top: float, right: float, bottom: float) -> Region:
    """The pixels whose centers are within a rectangle, its edges in pixels from the frame's."""

    def region(size: Size) -> np.ndarray:
        y, x = np.ogrid[: size[0], : size[1]]
        return (x + 0.5 >= left) & (x + 0.5 < right) & (y + 0.5 >= top) & (y + 0.5 < bottom)

    return region


def read_json(file: Path, model: type[AnyContent]) -> AnyContent:
    """The content of a JSON file, held against a model.

    Raises:
        AsapError: if it cannot be read or is something else, with the field and its value.
    """
    try:
        if file.stat().st_size > LARGEST_FILE:
            raise ValueError(f"larger than {LARGEST_FILE >> 20} MB")
        return model.model_validate(json.loads(file.read_bytes()))
    except pydantic.ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = ".".join(map(str, first["loc"]))
        problem = f"{field}={quoted(first['input'])}: {first['msg']}"
    except OSError as error:
        problem = f"cannot be read ({error.strerror})"
    except (ValueError, RecursionError) as error:
        problem = f"not JSON ({error})"
    raise AsapError(f"{file}: {problem}")


def frame_finder(source: Path, leave_out: Collection[Path] = ()) -> Callable[[str], Path | None]:
    """A function from the name that annotations give a frame to its file below a folder.

    Names are paths from anywhere in the folder, or from a folder of another machine: where the path
    is not found, the one file of that name is. Files to leave out are none.
    """
    folder = source if source.is_dir() else source.parent
    files = (file for file in walk(folder) if file not in leave_out)
    by_path = {file.relative_to(folder).as_posix(): file for file in files}
    times = Counter(file.name for file in by_path.values())
    by_name = {file.name: file for file in by_path.values() if times[file.name] == 1}

    def find(name: str) -> Path | None:
        path = name.replace("\\", "/").removeprefix("./")
        return by_path.get(path) or by_name.get(path.rpartition("/")[2])

    return find


def annotation_files(source: Path, ending: str) -> list[Path]:
    """Files of annotations: `source` itself, or those of a name's end below it, sorted.

    Raises:
        UsageError: if there are none.
    """
    if source.is_file():
        return [source]
    files = sorted(file for file in source.rglob(f"*{ending}") if file.is_file())
    if not files:
        raise UsageError(f"{source}: no files *{ending} in it")
    return files


def named(names: Sequence[str]) -> list[LabelClass]:
    """Classes of these names, in distinct colors, each its own category."""
    return [
        replace(label, name=name, category=name)
        for name, label in zip(names, numbered_classes(max(1, len(names))), strict=False)
    ]
