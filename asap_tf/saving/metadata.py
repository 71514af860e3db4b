"""The metadata of a model, as JSON: what may stand in it, and that in a `.keras` file."""

from __future__ import annotations

import importlib
import json
import zipfile
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any, Literal

import pydantic
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from asap_tf.core.errors import AsapError, first_line, shown
from asap_tf.core.files import written_whole
from asap_tf.core.labels import LabelClass
from asap_tf.core.parsing import LARGEST_JSON, parse_json, quoted

METADATA_NAME = "asap_tf.json"
"""Name of the metadata within a `.keras` file or SavedModel folder."""


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
