"""What annotation tools write, one file for each format: frames and how to draw their labels.

To add a format, add a file with a function `read(source) -> Annotations`, and its name to
`asap_tf.core.formats.ANNOTATIONS`.
"""

from __future__ import annotations

import importlib
from pathlib import Path

from asap_tf.core.errors import UsageError, nearest
from asap_tf.core.formats import ANNOTATIONS
from asap_tf.data.annotations.shapes import AnnotatedFrame, Annotations

__all__ = ["AnnotatedFrame", "Annotations", "read_annotations"]


def read_annotations(source: Path, kind: str) -> Annotations:
    """Reads all annotations below a folder.

    Args:
        source: Folder of frames and annotations, or a file of these beside the frames.
        kind: Key of `ANNOTATIONS`.

    Raises:
        UsageError: if there is no such format, or nothing of it.
        AsapError: if a package is missing, or a file cannot be read.
    """
    if kind not in ANNOTATIONS:
        raise UsageError(f"`kind` {kind}: no such format; {nearest(kind, ANNOTATIONS)}")
    if not source.exists():
        raise UsageError(f"{source}: no such file or folder")
    annotations: Annotations = importlib.import_module(ANNOTATIONS[kind]).read(source)
    if not annotations.frames:
        told = "".join(f"; {problem}" for problem in annotations.unmapped[:3])
        raise UsageError(f"{source}: no frame with annotations as {kind} writes them{told}")
    return annotations
