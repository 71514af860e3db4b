"""The metadata of an artifact, as JSON beside or within it, and its checksums."""

from __future__ import annotations

import hashlib
import importlib
import json
import os
import zipfile
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any, Literal

import pydantic
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from asap_tf.core.errors import AsapError, first_line, shown
from asap_tf.core.files import write_json, written_whole
from asap_tf.core.formats import FORMATS
from asap_tf.core.labels import LabelClass
from asap_tf.core.parsing import LARGEST_JSON, parse_json, quoted

METADATA_NAME = "asap_tf.json"
"""Name of the metadata within a `.keras` file or SavedModel folder."""

LARGEST_ARTIFACT = 1 << 33
"""Bytes, of all its files together."""

_OWN: set[str] = set()
"""Fingerprints of the artifacts that this process has written."""


def _printable(text: str) -> str:
    if not text.isprintable():
        raise ValueError("has control characters or line breaks")
    return text


def _relative(name: str) -> str:
    if name.startswith("/") or "\\" in name or not {"", ".", ".."}.isdisjoint(name.split("/")):
        raise ValueError("is no path below the folder")
    return name


_Text = Annotated[str, Field(max_length=300), AfterValidator(_printable)]
_Share = Annotated[float, Field(ge=-1, le=1)] | None
_Byte = Annotated[int, Field(ge=0, le=255)]
_Length = Annotated[int, Field(ge=1, le=1 << 20)]
_Whole = Annotated[int, Field(ge=0, le=1 << 50)]
_Count = Annotated[int | float, Field(ge=0, le=1e18)]

_File = Annotated[_Text, AfterValidator(_relative)]
_SHA256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class _Entries(BaseModel):
    # Entries of other versions are kept as they are.
    model_config = ConfigDict(strict=True, extra="allow")


class _Class(_Entries):
    name: _Text
    color: Annotated[list[_Byte], Field(min_length=3, max_length=3)]
    category: _Text
    label_id: Annotated[int, Field(ge=-1, le=255)]


class _Scores(_Entries):
    miou: _Share
    category_miou: _Share = None
    pixel_accuracy: _Share = None
    iou: dict[_Text, _Share] = {}
    accuracy: dict[_Text, _Share] = {}
    category_iou: dict[_Text, _Share] = {}


class _Parity(_Entries):
    agreement: Annotated[float, Field(ge=0, le=1)]
    source: _Text
    miou_difference: _Share = None


class _Metadata(_Entries):
    format: _Text = ""
    precision: _Text = ""
    size: _Length | Annotated[list[_Length], Field(min_length=2, max_length=2)] | None = None
    batch: _Length = 1
    output: Literal["labels", "labels+confidence", "logits"] = "labels"
    label_stride: _Length = 1
    temperature: Annotated[float, Field(ge=0.01, le=100)] = 1.0
    input: _Text = ""
    classes: Annotated[list[_Class], Field(max_length=256)] = []
    parameters: _Whole = 0
    multiply_accumulates: _Count = 0
    operations: dict[_Text, _Count] = {}
    recipe: dict[str, Any] = {}
    scores: _Scores = _Scores(miou=None)
    step: _Whole = 0
    versions: dict[_Text, _Text] = {}
    parity: _Parity = _Parity(agreement=0.0, source="")
    compute_capability: Annotated[list[_Text], Field(max_length=32)] = []
    on_gpu: _Text = ""
    files: dict[_File, _SHA256] = {}


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


def update_metadata(file: Path, **entries: Any) -> None:
    """Changes entries of the metadata in a `.keras` file; the rest of it is copied as it is.

    Args:
        file: File that `save_model` has written.
        **entries: New values by key, as JSON can hold them.

    Raises:
        Unwritable: if it cannot be written.
    """

    def changed(content: bytes) -> bytes:
        return json.dumps(json.loads(content) | entries, indent=1).encode()

    copy_archive(file, file, {METADATA_NAME: changed})


def copy_archive(
    source: Path,
    target: Path,
    changes: Mapping[str, Callable[[bytes], bytes]],
    compression: int | None = None,
) -> None:
    """Copies a zip archive, such as a `.keras` file, with some of its members changed.

    Args:
        source: Archive.
        target: Appears whole or not at all; may be `source`.
        changes: Functions from a member's content to the new one, by the members' names.
        compression: Of all members, of `zipfile`; None for each one's own.

    Raises:
        Unwritable: if it cannot be written.
    """
    with (
        zipfile.ZipFile(source) as old,
        written_whole(target, durable=True) as aside,
        zipfile.ZipFile(aside, "w") as new,
    ):
        for member in old.infolist():
            content = changes.get(member.filename, bytes)(old.read(member))
            new.writestr(member, content, compression)


def read_metadata(file: Path) -> dict[str, Any]:
    """The metadata in a `.keras` file; empty for one that was saved by Keras alone.

    Raises:
        AsapError: if it is damaged.
    """
    where = f"{file}: {METADATA_NAME} in it"
    try:
        if not file.is_file():
            raise ValueError("not a regular file")
        with zipfile.ZipFile(file) as archive:
            if METADATA_NAME not in archive.namelist():
                return {}
            if archive.getinfo(METADATA_NAME).file_size > LARGEST_JSON:
                raise ValueError(f"larger than {LARGEST_JSON >> 20} MB")
            text = archive.read(METADATA_NAME)
    except Exception as error:
        raise AsapError(f"{where} is damaged ({first_line(error)})") from error
    return parse_metadata(text, where)


def parse_metadata(text: str | bytes, where: str) -> dict[str, Any]:
    """Metadata from JSON.

    Args:
        text: JSON text.
        where: Name of the file it is from, for the message.

    Raises:
        AsapError: if it is damaged.
    """
    try:
        return _Metadata.model_validate(parse_json(text)).model_dump(exclude_unset=True)
    except pydantic.ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = shown(".".join(map(str, first["loc"])), 100)
        problem = f"{field}={quoted(first['input'])}: {first['msg']}"
    except ValueError as error:
        problem = first_line(error)
    raise AsapError(f"{where} is damaged ({problem}); export or train again")


def classes_of(metadata: dict[str, Any]) -> list[LabelClass]:
    """The classes that metadata names, in the order of their train ids."""
    return [
        LabelClass(c["name"], (*c["color"],), c["category"], c["label_id"])
        for c in metadata.get("classes", [])
    ]


def versions(*modules: str) -> dict[str, str]:
    """The version of each module.

    Examples:
        >>> versions("keras")
        {'keras': '3.15.1'}
    """
    return {module: _version(module) for module in modules}


def _version(module: str) -> str:
    # The distribution may have another name: tensorflow-cpu, onnxruntime-gpu.
    own = getattr(importlib.import_module(module), "__version__", None)
    return own or version(module.replace("_", "-"))
