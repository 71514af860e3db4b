"""Packages: folders of proven artifacts with all that using them in one place takes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from asap_tf.core.formats import Format
from asap_tf.export.parity import Reference


@dataclass(frozen=True)
class Contents:
    """What a package is completed from.

    Attributes:
        folder: Folder that the package is made in; its artifacts are there, with their metadata
            beside them.
        artifacts: Paths of the artifacts, by precision.
        reference: Frames and labels that the artifacts were compared with.
        metadata: What the metadata of all artifacts has in common.
    """

    folder: Path
    artifacts: dict[str, Path]
    reference: Reference
    metadata: dict[str, Any]


@dataclass(frozen=True)
class Package:
    """A folder to be exported.

    Attributes:
        format: Format of its artifacts, a key of `asap_tf.core.formats.FORMATS`.
        precisions: Precisions of its artifacts.
        complete: Function that adds everything else.
        hint: What to do with it, for people.
        folder: Name within the export's folder; that itself if it is empty.
        file_name: Function that places an artifact in it, by format and precision.
    """

    format: str
    precisions: tuple[str, ...]
    complete: Callable[[Contents], None]
    hint: str
    folder: str = ""
    file_name: Callable[[Format, str], str] = Format.file_name
