"""What annotation tools write, one file for each format: frames and how to draw their labels.

To add a format, add a file with a function `read(source) -> Annotations`, and its name here.
"""

from __future__ import annotations

import importlib
from pathlib import Path

from asap_tf.core.errors import UsageError, nearest
from asap_tf.data.annotations.shapes import AnnotatedFrame, Annotations

FORMATS = {
    "coco": "asap_tf.data.annotations.coco",
    "labelme": "asap_tf.data.annotations.labelme",
    "cvat": "asap_tf.data.annotations.cvat",
    "voc": "asap_tf.data.annotations.voc",
    "cityscapes-polygons": "asap_tf.data.annotations.cityscapes_polygons",
}
"""Modules by the name of what they read."""

__all__ = ["FORMATS", "AnnotatedFrame", "Annotations", "read_annotations"]


def read_annotations(source: Path, kind: str) -> Annotations:
    """Reads all annotations below a folder.

    Args:
        source: Folder of frames and annotations, or a file of these beside the frames.
        kind: One of `FORMATS`.

    Raises:
        UsageError: if there is no such format, or nothing of it.
        AsapError: if a package is missing, or a file cannot be read.
    """
    if kind not in FORMATS:
        raise UsageError(f"`kind` {kind}: no such format; {nearest(kind, FORMATS)}")
    if not source.exists():
        raise UsageError(f"{source}: no such file or folder")
    annotations: Annotations = importlib.import_module(FORMATS[kind]).read(source)
    if not annotations.frames:
        told = "".join(f"; {problem}" for problem in annotations.unmapped[:3])
        raise UsageError(f"{source}: no frame with annotations as {kind} writes them{told}")
    return annotations
