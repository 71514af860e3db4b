"""An artifact on disk: its files, and its metadata beside or within it, with their checksums."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from asap_tf.core.errors import AsapError
from asap_tf.core.files import write_json
from asap_tf.core.formats import FORMATS
from asap_tf.core.parsing import LARGEST_JSON
from asap_tf.saving.metadata import METADATA_NAME, parse_metadata

LARGEST_ARTIFACT = 1 << 33
"""Bytes, of all its files together."""

_OWN: set[str] = set()
"""Fingerprints of the artifacts that this process has written."""


def sidecar(path: Path) -> Path:
    """The metadata file of an artifact: beside a file, in a SavedModel's folder.

    Examples:
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
        found = (Path(folder, name) for folder, _, names in os.walk(path) for name in names)
        return sorted(f for f in found if f.is_file() and f != sidecar(path))
    companions = [row.companion for row in FORMATS.values() if row.ending == path.suffix]
    return [path, *(path.with_suffix(suffix) for suffix in companions if suffix)]


def require_files(path: Path) -> None:
    """Refuses an artifact that would take hours to read, or show the bytes of another file.

    Args:
        path: As of `artifact_files`; a file that is missing is left to who opens it.

    Raises:
        AsapError: if a file is a device or pipe, a link out of its folder, or too large.
    """
    home = sidecar(path).parent.resolve()
    beside = path.resolve().parent
    size = 0
    for file in artifact_files(path):
        if not file.exists():
            continue
        if not file.is_file():
            raise AsapError(f"{file}: not a regular file")
        real = file.resolve()
        if file != path and not real.is_relative_to(home) and real.parent != beside:
            raise AsapError(f"{file}: a link out of its folder; copy the file there")
        size += file.stat().st_size
    if size > LARGEST_ARTIFACT:
        raise AsapError(f"{path}: {size / 1e9:.0f} GB; a network has less than 8")


def artifact_bytes(path: Path) -> int:
    """The size of an artifact on disk, its metadata aside; `path` as of `artifact_files`."""
    return sum(file.stat().st_size for file in artifact_files(path))


def checksums(path: Path) -> dict[str, str]:
    """SHA-256 of each file of an artifact, by its path relative to the metadata's folder.

    Examples:
        >>> checksums(Path("export/asap_int8.tflite"))
        {'asap_int8.tflite': 'b6a9...'}
    """
    home = sidecar(path).parent
    return {file.relative_to(home).as_posix(): _checksum(file) for file in artifact_files(path)}


def fingerprint(path: Path) -> str:
    """SHA-256 of an artifact, whatever its name; of its checksums where it has several files.

    Examples:
        >>> fingerprint(Path("export/asap_int8.tflite"))
        'b6a9...'
    """
    return _joined(checksums(path))


def _joined(sums: Mapping[str, str]) -> str:
    if len(sums) == 1:
        return next(iter(sums.values()))
    return hashlib.sha256("".join(sorted(sums.values())).encode()).hexdigest()


def _checksum(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def write_sidecar(path: Path, metadata: Mapping[str, Any]) -> None:
    """Writes metadata beside an artifact, or into its folder, with checksums.

    The artifact counts as this process's own from then on: see `is_own`.
    """
    sums = checksums(path)
    entries = {**metadata, "files": sums}
    sidecar(path).write_text(json.dumps(entries, indent=1), encoding="utf-8")
    _OWN.add(_joined(sums))


def is_own(path: Path) -> bool:
    """Whether this process has written an artifact of these bytes.

    Checksums tell that nothing has changed since somebody wrote them, not who that was.
    """
    return bool(_OWN) and fingerprint(path) in _OWN


def read_sidecar(path: Path) -> tuple[dict[str, Any], bool]:
    """The metadata beside an artifact.

    Returns:
        The metadata, empty if there is none, and whether the artifact is as its checksums say: they
        say nothing of one that was renamed, or has no metadata.

    Raises:
        AsapError: if the metadata is damaged, or the artifact is not as it was exported, or not
            made of regular files.
    """
    require_files(path)
    file = sidecar(path)
    if not file.is_file():
        return {}, False
    if file.stat().st_size > LARGEST_JSON:
        raise AsapError(f"{file}: larger than {LARGEST_JSON >> 20} MB, no metadata of ours")
    metadata = parse_metadata(file.read_bytes(), str(file))
    files = metadata.get("files", {})
    home = file.parent
    own = {f.relative_to(home).as_posix(): f for f in artifact_files(path)}
    if not own.keys() <= files.keys():
        return metadata, False
    for name, sum_then in files.items():
        part = own.get(name)
        if part is None or not part.is_file():
            raise AsapError(f"{home / name}: missing, though {file.name} names it; export again")
        if _checksum(part) != sum_then:
            raise AsapError(
                f"{part}: damaged: it differs from what was exported, by the checksum in "
                f"{file.name}; copy it again or export again"
            )
    return metadata, True


def update_sidecar(path: Path, **entries: Any) -> None:
    """Changes entries of the metadata beside an artifact.

    Args:
        path: Artifact that has metadata beside it.
        **entries: New values by key, as JSON can hold them.

    Raises:
        Unwritable: if it cannot be written.

    Examples:
        >>> update_sidecar(Path("export/asap_fp16_rtx.engine"), on_gpu="mIoU 68.6% on 101 frames")
    """
    file = sidecar(path)
    write_json(file, json.loads(file.read_text(encoding="utf-8")) | entries)
