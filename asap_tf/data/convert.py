"""Datasets of annotation tools made into folders that `open_dataset` opens."""

from __future__ import annotations

import os
import shutil
import zlib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml

from asap_tf.core.errors import UsageError
from asap_tf.core.files import written_whole
from asap_tf.core.labels import IGNORE_LABEL, LabelClass
from asap_tf.core.progress import ProgressBar
from asap_tf.data.annotations import AnnotatedFrame, read_annotations
from asap_tf.data.frames import read_frame
from asap_tf.data.images import BadFile, read_image, write_image

BACKGROUND = "background"


@dataclass(frozen=True)
class Conversion:
    """What `convert` has made.

    Attributes:
        counts: Frames by split.
        classes: Names of the classes, in the order of their train ids.
        unmapped: What has no place in a label map and is left out, in words.
    """

    counts: dict[str, int]
    classes: list[str]
    unmapped: list[str]


def convert(
    source: Path, out: Path, kind: str, rest: str | None = BACKGROUND, val: float = 0.1
) -> Conversion:
    """Makes a folder with a `dataset.yaml` of what an annotation tool has written.

    Frames are copied, but for those that a dataset cannot hold, of 16 bits or turned by their
    orientation: these are written upright, as PNG.

    Args:
        source: Folder of frames and annotations.
        out: Folder that does not exist yet.
        kind: Key of `asap_tf.core.formats.ANNOTATIONS`.
        rest: Name of the class of all pixels that no shape covers; None ignores them. Formats whose
            masks say it themselves (VOC, Cityscapes) go by these.
        val: Share of the frames, 0..1, that become the split `val` if no split has that name; by
            the frames' names, so that a frame stays where it is when others are added.

    Returns:
        Counts, classes, and what was left out.

    Raises:
        UsageError: if `out` exists, or there is nothing in `source` to convert.
        AsapError: if a file of annotations is damaged, or `out` cannot be written.

    Examples:
        >>> convert(Path("labelme"), Path("dataset"), "labelme").counts
        {'train': 90, 'val': 10}
    """
    if out.exists() or out.is_symlink():
        raise UsageError(f"{out}: already exists; name a new folder or remove it first")
    if not 0 <= val < 1:
        raise UsageError(f"`val` {val:g}: a share from 0 to below 1 is needed")
    annotations = read_annotations(source, kind)
    classes, unmapped = list(annotations.classes), list(annotations.unmapped)
    fill = IGNORE_LABEL
    if rest is not None and not annotations.is_complete:
        names = [label.name for label in classes]
        fill = names.index(rest) if rest in names else len(classes)
        classes += [LabelClass(rest, (0, 0, 0), rest, fill)] * (rest not in names)
    if len(classes) < 2:
        raise UsageError(f"{source}: one class alone; name the rest as another with `rest`")
    if len(classes) > IGNORE_LABEL - 1:
        raise UsageError(f"{source}: {len(classes)} classes; a mask holds at most 254")
    has_val = any(frame.split == "val" for frame in annotations.frames)
    counts: Counter[str] = Counter()
    with written_whole(out) as aside:
        aside.mkdir(parents=True)
        for frame in ProgressBar(annotations.frames, "converting", unit="frame"):
            split = frame.split or ("train" if has_val else _drawn(frame.image, val))
            key = f"{split}/{_key(frame, source)}"
            try:
                if (aside / "masks" / f"{key}.png").exists():
                    raise ValueError("another frame has its name")
                _write(frame, aside, key, fill)
            except (BadFile, ValueError) as error:
                problem = error.problem if isinstance(error, BadFile) else error
                unmapped.append(f"{frame.image}: {problem}; left out")
            else:
                counts[split] += 1
        if not counts:
            raise UsageError(f"{source}: no frame can be used: {unmapped[-1]}")
        (aside / "dataset.yaml").write_text(_description(classes, list(counts)), encoding="utf-8")
    return Conversion(dict(counts), [label.name for label in classes], unmapped)


def _key(frame: AnnotatedFrame, source: Path) -> str:
    # Annotations may name a frame as `../other/frame.png`, which is none of a folder below `out`.
    folder = Path(os.path.abspath(source if source.is_dir() else source.parent))
    image = Path(os.path.abspath(frame.image))
    inside = image.is_relative_to(folder)
    return (image.relative_to(folder) if inside else Path(image.name)).with_suffix("").as_posix()


def _drawn(image: Path, val: float) -> str:
    """The split of a frame, by its name."""
    return "val" if zlib.crc32(image.name.encode()) < val * 2**32 else "train"


def _write(frame: AnnotatedFrame, out: Path, key: str, fill: int) -> None:
    """Writes a frame and its mask.

    Raises:
        BadFile: if the frame cannot be read.
        ValueError: if frame and annotations are of different sizes.
    """
    pixels = read_frame(frame.image).pixels
    labels = frame.labels(pixels.shape[:2])
    labels[labels == IGNORE_LABEL] = fill
    image, mask = out / "frames" / key, out / "masks" / f"{key}.png"
    for file in (image, mask):
        file.parent.mkdir(parents=True, exist_ok=True)
    if _is_plain(frame.image, pixels):
        shutil.copyfile(frame.image, f"{image}{frame.image.suffix.lower()}")
    else:
        write_image(Path(f"{image}.png"), pixels)
    write_image(mask, labels)


def _is_plain(image: Path, pixels: np.ndarray) -> bool:
    """Whether a dataset's reader sees the same frame."""
    try:
        return np.array_equal(read_image(image), pixels)
    except BadFile:
        return False


def _description(classes: list[LabelClass], splits: list[str]) -> str:
    description = {
        "masks": "index",
        "ignore_label": IGNORE_LABEL,
        "classes": [
            {"name": label.name, "color": list(label.color), "category": label.category}
            for label in classes
        ],
        "splits": {s: {"images": f"frames/{s}", "masks": f"masks/{s}"} for s in splits},
    }
    return yaml.safe_dump(description, sort_keys=False)
