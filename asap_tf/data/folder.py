"""Any folder of frames and masks, described by a `dataset.yaml` in it.

    masks: color                  # color: RGB colors; index: one id a pixel, gray or palette
    ignore_label: [0, 0, 0]       # value of ignored pixels, or a list of such values; for index
                                  # masks an id (255 if left out), for color masks an RGB color
    classes:                      # in the order of their train ids
      - {name: road, color: [128, 64, 128], category: flat}
      - {name: car, color: [0, 0, 142], category: vehicle}
    splits:                       # frames and masks are matched by name, without the ending
      train: {images: frames/train, masks: labels/train}
      val: {images: frames/val, masks: labels/val}
      test: {images: frames/test}             # no masks: a split to predict, not to score

A class has the id of its position unless `id` says otherwise (index masks only); its category
is its own name unless given. `id` and `color` may be lists of values that all stand for the
class; the first color is shown. Any value that is neither a class's nor ignored is an error in a
mask.

Where names differ by more than `.png`, a split gives the endings; where its frames are only some
of a folder's, a file that lists their names, one a line, without the endings:

      train: {images: all, image_ending: _rgb.jpg, masks: all, mask_ending: _ids.png, names: a.txt}
"""

from __future__ import annotations

import functools
import os
from collections import Counter
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    ValidationInfo,
    field_validator,
)

from asap_tf.core.errors import UsageError, first_line, nearest
from asap_tf.core.labels import IGNORE_LABEL, LabelClass
from asap_tf.core.parsing import listed, quoted, read_yaml
from asap_tf.data.dataset import Dataset, MaskEncoding, Pair
from asap_tf.data.encodings import ColorEncoding, IndexEncoding
from asap_tf.data.pairing import FRAME_ENDINGS, MASK_ENDINGS, find_files, match

Files = dict[str, list[Path]]

_Byte = Annotated[int, Field(ge=0, le=255, strict=True)]
_Color = tuple[_Byte, _Byte, _Byte]

# What `ignore_label` may be, by kind of mask: one value or a list of them.
_IGNORED: dict[str, tuple[TypeAdapter[Any], str]] = {
    "index": (TypeAdapter(list[_Byte] | _Byte), "an id, 0..255, or a list of ids is needed"),
    "color": (TypeAdapter(list[_Color] | _Color), "an RGB color or a list of them is needed"),
}


def _one_or_more(value: Any, one: type) -> Any:
    """What stands for a class: one value becomes a list of one."""
    several = isinstance(value, list) and all(isinstance(v, one) for v in value)
    return value if several else [value]


_Ids = Annotated[list[_Byte], BeforeValidator(functools.partial(_one_or_more, one=int))]
_Colors = Annotated[list[_Color], BeforeValidator(functools.partial(_one_or_more, one=list))]


class _Class(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: str = Field(min_length=1)
    color: Annotated[_Colors, Field(min_length=1)]
    category: str | None = None
    id: Annotated[_Ids, Field(min_length=1)] | None = None


class _Split(BaseModel):
    model_config = ConfigDict(extra="forbid")

    images: str
    masks: str | None = None
    image_ending: str | None = None
    mask_ending: str | None = None
    names: str | None = None

    @field_validator("names")
    @classmethod
    def _file_exists(cls, value: str | None, info: ValidationInfo[Path]) -> str | None:
        if value is not None and not os.path.isfile(info.context / value):
            raise ValueError(f"no such file in {info.context}")
        return value

    @field_validator("images", "masks")
    @classmethod
    def _folder_exists(cls, value: str | None, info: ValidationInfo[Path]) -> str | None:
        # Of `os.path`, to which a name that is too long is one that is not there.
        if value is not None and not os.path.isdir(info.context / value):
            raise ValueError(f"no such folder in {info.context}")
        return value


class _Description(BaseModel):
    model_config = ConfigDict(extra="forbid")

    # In this order: each validator below looks at the fields above its own.
    masks: Literal["index", "color"]
    classes: list[_Class] = Field(min_length=1, max_length=254)
    ignore_label: Any = Field(default=None, validate_default=True)
    splits: dict[str, _Split] = Field(min_length=1)

    @property
    def values(self) -> list[list[Any]]:
        """Ids or colors of each class in a mask file, by train id."""
        return _values(self.masks, self.classes)

    @field_validator("classes")
    @classmethod
    def _classes_differ(cls, classes: list[_Class], info: ValidationInfo) -> list[_Class]:
        if len(classes) == 1:
            raise ValueError("one class alone; name the rest as another, such as background")
        masks = info.data.get("masks")
        if masks == "color" and any(c.id is not None for c in classes):
            raise ValueError("color masks have no ids; omit them")
        values = [value for group in _values(masks, classes) for value in group]
        shared = _repeated([c.name for c in classes]) + _repeated(values)
        if shared:
            raise ValueError(f"given to two classes: {', '.join(map(str, shared))}")
        return classes

    @field_validator("ignore_label")
    @classmethod
    def _ignored_values(cls, value: Any, info: ValidationInfo) -> list[Any]:
        masks = info.data.get("masks")
        if masks is None:
            return []
        if value is None:
            return [IGNORE_LABEL] if masks == "index" else []
        adapter, wanted = _IGNORED[masks]
        try:
            value = adapter.validate_python(value)
        except ValidationError:
            raise ValueError(wanted) from None
        ignored = value if isinstance(value, list) else [value]
        classes = info.data.get("classes", [])
        if set(ignored) & {value for group in _values(masks, classes) for value in group}:
            raise ValueError("is also the value of a class")
        return ignored


def open_folder(root: Path) -> Dataset:
    """Open a folder described by a `dataset.yaml`, as at the head of this module.

    Returns:
        The dataset, with the splits that the description names.

    Raises:
        UsageError: if the description cannot be read or is wrong; every error is in the message,
            with its field and value.
    """
    description = _read(root / "dataset.yaml")
    index = description.masks == "index"
    classes = tuple(
        LabelClass(c.name, c.color[0], c.category or c.name, values[0] if index else -1)
        for c, values in zip(description.classes, description.values, strict=True)
    )
    train_ids = {value: IGNORE_LABEL for value in description.ignore_label}
    for train_id, values in enumerate(description.values):
        train_ids |= dict.fromkeys(values, train_id)
    encoding: MaskEncoding = IndexEncoding(train_ids) if index else ColorEncoding(train_ids)
    splits: dict[str, tuple[Pair, ...]] = {}
    unpaired: list[Path] = []
    for name, split in description.splits.items():
        splits[name], alone = match(*_files(root, name, split))
        unpaired += alone
    return Dataset("folder", root, classes, encoding, splits, tuple(unpaired))


def _files(root: Path, name: str, split: _Split) -> tuple[Files, Files | None]:
    """Frames and masks of a split by their keys; None for masks of a split without any.

    Raises:
        UsageError: if its masks are lossy, or a name of its list is that of no frame.
    """
    endings = (split.image_ending,) if split.image_ending else FRAME_ENDINGS
    images, masks = find_files(root / split.images, endings), None
    if split.masks is not None:
        mask_endings = (split.mask_ending,) if split.mask_ending else MASK_ENDINGS
        masks = find_files(root / split.masks, mask_endings)
        lossy = find_files(root / split.masks, (".jpg", ".jpeg", ".webp"))
        if lossy and not masks:
            raise UsageError(
                f"{next(iter(lossy.values()))[0]}: splits.{name}.masks: JPEG and WebP change the "
                "classes along every edge; save the masks as PNG"
            )
    if split.names is not None:
        lines = (root / split.names).read_text(encoding="utf-8", errors="replace").splitlines()
        names = {line.strip() for line in lines if line.strip()}
        if unknown := sorted(names - images.keys()):
            raise UsageError(
                f"{root / split.names}: {len(unknown)} names of no frame in "
                f"{root / split.images}, such as {quoted(unknown[0])}"
            )
        images = {key: images[key] for key in names}
        masks = masks and {key: masks[key] for key in names & masks.keys()}
    return images, masks


def _read(path: Path) -> _Description:
    try:
        content = read_yaml(path)
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({error.strerror})") from None
    except ValueError as error:
        raise UsageError(f"{path}: not YAML: {first_line(error)}") from None
    if not isinstance(content, dict):
        fields = ", ".join(_Description.model_fields)
        raise UsageError(f"{path}: holds no fields; {fields} are needed")
    try:
        return _Description.model_validate(content, context=path.parent)
    except ValidationError as error:
        raise UsageError(f"{path}: {listed(map(_explain, error.errors()))}") from None


def _explain(error: Any) -> str:
    """One of pydantic's errors as `field: value: what is wrong`."""
    location, received = error["loc"], error["input"]
    field = ".".join(map(str, location))
    if error["type"] == "missing":
        return f"{field} is missing"
    if error["type"] == "extra_forbidden":
        models: dict[Any, type[BaseModel]] = {"classes": _Class, "splits": _Split}
        model = models.get(location[0], _Description)
        return f"{field}: no such field; {nearest(location[-1], model.model_fields)}"
    if error["type"] == "literal_error":
        return f"{field}: received {quoted(received)}; {nearest(received, ('index', 'color'))}"
    message = error["msg"].removeprefix("Value error, ")
    if isinstance(received, dict) or (isinstance(received, list) and len(received) > 4):
        return f"{field}: {message}"
    return f"{field}: received {quoted(received)}: {message}"


def _values(masks: str | None, classes: list[_Class]) -> list[list[Any]]:
    if masks == "color":
        return [c.color for c in classes]
    return [[i] if c.id is None else c.id for i, c in enumerate(classes)]


def _repeated(values: list[Any]) -> list[Any]:
    return [value for value, count in Counter(values).items() if count > 1]
