"""The metadata of an artifact, as JSON beside or within it, and its checksums."""

from __future__ import annotations

import hashlib
import importlib
import json
import zipfile
import zlib
from importlib.metadata import version
from pathlib import Path
from typing import Any

from asap_tf.core.errors import AsapError
from asap_tf.core.formats import FORMATS
from asap_tf.core.labels import LabelClass

METADATA_NAME = "asap_tf.json"
"""Name of the metadata within a `.keras` file or SavedModel folder."""


def sidecar(path: Path) -> Path:
    """The metadata file of an artifact: beside a file, in a SavedModel's folder.

    Example:
        >>> sidecar(Path("export/asap_int8.tflite")).name
        'asap_int8.tflite.json'
    """
    return path / METADATA_NAME if path.is_dir() else path.with_name(f"{path.name}.json")


def artifact_files(path: Path) -> list[Path]:
    """The files that an artifact consists of, its metadata aside.

    Args:
        path: A file (OpenVINO's `.bin` belongs to its `.xml`), or a folder.
    """
    if path.is_dir():
        return sorted(f for f in path.rglob("*") if f.is_file() and f != sidecar(path))
    companions = [row.companion for row in FORMATS.values() if row.ending == path.suffix]
    return [path, *(path.with_suffix(suffix) for suffix in companions if suffix)]


def artifact_bytes(path: Path) -> int:
    """The size of an artifact on disk, its metadata aside; `path` as of `artifact_files`."""
    return sum(file.stat().st_size for file in artifact_files(path))


def checksums(path: Path) -> dict[str, str]:
    """SHA-256 of each file of an artifact, by its path relative to the metadata's folder.

    Example:
        >>> checksums(Path("export/asap_int8.tflite"))
        {'asap_int8.tflite': 'b6a9...'}
    """
    home = sidecar(path).parent
    return {file.relative_to(home).as_posix(): _checksum(file) for file in artifact_files(path)}


def fingerprint(path: Path) -> str:
    """SHA-256 of an artifact, whatever its name; of its checksums where it has several files.

    Example:
        >>> fingerprint(Path("export/asap_int8.tflite"))
        'b6a9...'
    """
    sums = checksums(path)
    if len(sums) == 1:
        return next(iter(sums.values()))
    return hashlib.sha256("".join(sorted(sums.values())).encode()).hexdigest()


def _checksum(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def read_sidecar(path: Path) -> tuple[dict[str, Any], bool]:
    """The metadata beside an artifact.

    Returns:
        The metadata, empty if there is none, and whether its checksums cover the artifact: they
        do not if it was renamed, or has no metadata.

    Raises:
        AsapError: if the metadata is damaged, or the artifact is not as it was exported.
    """
    file = sidecar(path)
    if not file.is_file():
        return {}, False
    metadata = parse_metadata(file.read_bytes(), str(file))
    files = metadata.get("files", {})
    home = file.parent
    own = {f.relative_to(home).as_posix() for f in artifact_files(path)}
    if not own <= files.keys():
        return metadata, False
    for name, checksum in files.items():
        if not (home / name).is_file():
            raise AsapError(f"{home / name}: missing, though {file.name} names it; export again")
        if _checksum(home / name) != checksum:
            raise AsapError(
                f"{home / name}: damaged: it differs from what was exported, by the checksum in "
                f"{file.name}; copy it again or export again"
            )
    return metadata, True


def read_metadata(file: Path) -> dict[str, Any]:
    """The metadata in a `.keras` file; empty for one that was saved by Keras alone.

    Raises:
        AsapError: if it is damaged.
    """
    where = f"{file}: {METADATA_NAME} in it"
    try:
        with zipfile.ZipFile(file) as archive:
            if METADATA_NAME not in archive.namelist():
                return {}
            return parse_metadata(archive.read(METADATA_NAME), where)
    except (ValueError, zipfile.BadZipFile, zlib.error) as error:
        raise AsapError(f"{where} is damaged ({error})") from error


def parse_metadata(text: str | bytes, where: str) -> dict[str, Any]:
    """Metadata from JSON.

    Args:
        text: JSON text.
        where: Name of the file it is from, for the message.

    Raises:
        AsapError: if it is damaged.
    """
    try:
        metadata = json.loads(text)
        if not isinstance(metadata, dict) or not isinstance(metadata.get("files", {}), dict):
            raise ValueError("not an object, or without a table of files")
        size = metadata.get("size")
        if size is not None and [type(side) for side in size] != [int, int]:
            raise ValueError(f"size {size} is not [height, width]")
        classes_of(metadata)
    except (ValueError, TypeError, KeyError) as error:
        raise AsapError(f"{where} is damaged ({error}); export or train again") from error
    return metadata


def classes_of(metadata: dict[str, Any]) -> list[LabelClass]:
    """The classes that metadata names, in the order of their train ids."""
    return [
        LabelClass(c["name"], (*c["color"],), c["category"], c["label_id"])
        for c in metadata.get("classes", [])
    ]


def versions(*modules: str) -> dict[str, str]:
    """The version of each module.

    Example:
        >>> versions("keras")
        {'keras': '3.15.1'}
    """
    return {module: _version(module) for module in modules}


def _version(module: str) -> str:
    # The distribution may have another name: tensorflow-cpu, onnxruntime-gpu.
    own = getattr(importlib.import_module(module), "__version__", None)
    return own or version(module.replace("_", "-"))
