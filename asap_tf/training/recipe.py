"""A recipe: everything a training depends on, as typed and validated data."""

from __future__ import annotations

import os
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, get_args

import pydantic
import yaml
from pydantic import AfterValidator, BeforeValidator, Field, SerializeAsAny, WrapSerializer

from asap_tf.core import parsing
from asap_tf.core.errors import UsageError, nearest, shown
from asap_tf.core.parsing import listed, parse_yaml, quoted
from asap_tf.training.sections import (
    Augment,
    Data,
    Distill,
    Eval,
    Loss,
    Model,
    Optimizer,
    Section,
    Train,
    model_section,
)


def file_name(name: str) -> str:
    """A recipe's name, which a run folder is named after.

    Raises:
        ValueError: if it cannot be a file's name, or would lead into another folder.
    """
    fits = name.isprintable() and 0 < len(name.encode()) <= 100
    if not fits or name == ".." or name != Path(name).name:
        raise ValueError("want the name of a file: up to 100 bytes of text without slashes")
    return name


def one_or_more(data: Any) -> Any:
    """A mapping as the list of it alone.

    Raises:
        ValueError: for an empty list.
    """
    # pydantic's own check of the length would count only datasets without an error.
    if isinstance(data, list | tuple) and not data:
        raise ValueError("at least one dataset is needed")
    return [data] if isinstance(data, dict | Data) else data


def mapping_if_one(data: Any, dump: Any) -> Any:
    """A single dataset as a mapping, several as a list."""
    dumped = list(dump(data))
    return dumped[0] if len(dumped) == 1 else dumped


Datasets = Annotated[
    tuple[Data, ...],
    BeforeValidator(one_or_more),
    WrapSerializer(mapping_if_one),
]


class Recipe(Section):
    """A whole training; sections left out take their defaults, which are the paper's."""

    name: Annotated[str, AfterValidator(file_name)]
    data: Datasets = (Data(),)
    model: SerializeAsAny[Model] = Field(default_factory=lambda: Model.model_validate({}))
    augment: Augment
    loss: Loss = Loss()
    optimizer: Optimizer = Optimizer()
    distill: Distill | None = None
    train: Train = Train()
    eval: Eval = Eval()

    @property
    def dataset_names(self) -> list[str]:
        """Names of the datasets: of their folders, numbered where there are several of one name."""
        names: list[str] = []
        for data in self.data:
            name = Path(data.root or "data").name
            names.append(f"{name}_{len(names) + 1}" if name in names else name)
        return names

    def to_yaml(self) -> str:
        """The recipe with every default spelled out."""
        return yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False)


def load_recipe(
    path: str | Path, overrides: tuple[str, ...] | list[str] = (), root: Path | None = None
) -> Recipe:
    """Reads and validates a recipe.

    Args:
        path: A YAML file, or the name of a recipe that ships with asap-tf. Its `base`, if it has
            one, is another: the fields that it does not give are that recipe's.
        overrides: Fields to change, as `"section.field=value"`, the value as YAML. Of several
            datasets, `"data.field=value"` changes all and `"data.0.field=value"` the first.
        root: Folder of the dataset; of several, the one in which they are by the recipe's roots, or
            by the last name of an absolute one.

    Returns:
        The recipe.

    Raises:
        UsageError: with every wrong field at once: its name, the value, what would be valid.

    Examples:
        >>> load_recipe("camvid_resnet18", ["train.epochs=1"]).train.epochs
        1
    """
    file = recipe_file(path)
    values = read_yaml(file)
    if "base" in values:
        values = merged_with_base(file, values)
    for override in overrides:
        apply_override(values, override)
    if root is not None:
        put_below(values, root.resolve())
    return validate(values, str(file))


def read_yaml(file: Path) -> dict[str, Any]:
    """The plain values of a recipe's file.

    Raises:
        UsageError: if it is not YAML, or not a mapping.
    """
    try:
        values = parsing.read_yaml(file)
    except (OSError, ValueError) as error:
        raise UsageError(f"{file}: cannot be read as YAML: {one_line(error)}") from error
    if not isinstance(values, dict):
        raise UsageError(f"{file}: a recipe is a mapping of sections, got {type(values).__name__}")
    return values


def merged_with_base(file: Path, values: dict[str, Any]) -> dict[str, Any]:
    """A recipe's plain values, with those of the recipe that its `base` names where it has none.

    Raises:
        UsageError: if there is no such recipe, or that one has a base too.
    """
    base = str(values["base"])
    beside = file.parent / base
    try:
        merged = read_yaml(recipe_file(beside if os.path.isfile(beside) else base))
    except UsageError as error:
        raise UsageError(f"{file}: base={base}: {error}") from error
    if "base" in merged:
        raise UsageError(f"{file}: base={base}: has a base itself; name that one")
    for name, section in values.items():
        both = isinstance(section, dict) and isinstance(merged.get(name), dict)
        merged[name] = {**merged[name], **section} if both else section
    del merged["base"]
    return merged


def validate(values: dict[str, Any], origin: str) -> Recipe:
    """A recipe from plain values; `origin` opens the error message.

    Raises:
        UsageError: with every wrong field at once.
    """
    try:
        return Recipe.model_validate(upgraded(values))
    except pydantic.ValidationError as error:
        problems = (explain(e, values) for e in error.errors(include_url=False))
        raise UsageError(f"{origin}: {listed(problems)}") from error


OLD_FIELDS = {"data.leave_out": "holdout", "train.unwritable": None}
"""Fields of earlier versions, each with its name now, or None where it is gone."""


def upgraded(values: dict[str, Any]) -> dict[str, Any]:
    """A recipe's plain values with the fields of earlier versions under their names of now."""
    for old, new in OLD_FIELDS.items():
        section, field = old.split(".")
        fields = values.get(section)
        if isinstance(fields, dict) and field in fields:
            kept = {name: value for name, value in fields.items() if name != field}
            values = {**values, section: {**kept, new: fields[field]} if new else kept}
    return values


def explain(error: Any, values: dict[str, Any]) -> str:
    """One problem that pydantic found in `values`: field, value received, what would be valid."""
    if error["loc"][:2] == ("data", 0) and not isinstance(values["data"], list):
        error = {**error, "loc": ("data", *error["loc"][2:])}
    # Where a field takes several types, pydantic adds the one it tried, such as "tuple[...]".
    *outer, name = error["loc"]
    location = [str(part) for part in outer if "[" not in str(part)]
    if error["type"] == "extra_forbidden":
        field = ".".join([*location, shown(name, 100)])
        return f"{field}: no such field; {nearest(name, fields_of(location, values))}"
    if "[" not in str(name):
        location.append(str(name))
    field = ".".join(location)
    if error["type"] == "missing":
        return f"{field}: missing"
    if error["type"] == "literal_error":
        valid = [v.strip("'") for v in error["ctx"]["expected"].replace(" or ", ", ").split(", ")]
        return f"{field}={quoted(error['input'])}: {nearest(error['input'], valid)}"
    message = error["msg"].removeprefix("Value error, ")
    return f"{field}={quoted(error['input'])}: {message[0].lower()}{message[1:]}"


def fields_of(location: list[str], values: dict[str, Any]) -> list[str]:
    """Names of the fields of the section at `location` of a recipe's values."""
    if location == ["model"]:
        return list(model_section(values["model"].get("name")).model_fields)
    section: Any = Recipe
    for name in location:
        if name.isdecimal():
            continue
        annotation = section.model_fields[name].annotation
        # One that may be left out is a union with None, and datasets are a tuple.
        section = next(iter(get_args(annotation)), annotation)
    return list(section.model_fields)


def apply_override(values: dict[str, Any], override: str) -> None:
    """Puts one `section.field=value` into `values`.

    Raises:
        UsageError: if it is not of that form.
    """
    key, equals, text = override.partition("=")
    override = one_line(override)
    parts = key.strip().split(".")
    if not equals or not all(parts):
        raise UsageError(f"`overrides` {override}: want section.field=value, as in train.epochs=10")
    try:
        value = parse_yaml(text)
    except ValueError as error:
        raise UsageError(f"`overrides` {override}: value is not YAML: {one_line(error)}") from error
    sections: list[Any] = [values]
    for part in parts[:-1]:
        if part.isdecimal():
            sections = sections[int(part) :][:1]
        else:
            found = [section.setdefault(part, {}) for section in sections]
            sections = [s for f in found for s in (f if isinstance(f, list) else [f])]
        if not (sections and all(isinstance(section, dict) for section in sections)):
            raise UsageError(f"`overrides` {override}: '{part}' is a field, not a section")
    for section in sections:
        section[parts[-1]] = value


def put_below(values: dict[str, Any], root: Path) -> None:
    """Sets the dataset's root; of several datasets, to where they are below it by their names."""
    data = values.setdefault("data", {})
    if isinstance(data, dict):
        data["root"] = str(root)
    elif isinstance(data, list):
        for section in filter(lambda section: isinstance(section, dict), data):
            below = Path(str(section.get("root") or ""))
            section["root"] = str(root / (below.name if below.is_absolute() else below))


def recipe_file(path: str | Path) -> Path:
    """The file that a recipe's path or name stands for.

    Raises:
        UsageError: if there is none, with the names that ship.
    """
    file = Path(path)
    if os.path.isfile(file):
        return file
    shipped = {Path(str(f)).stem: Path(str(f)) for f in shipped_recipes()}
    if str(path) in shipped:
        return shipped[str(path)]
    raise UsageError(f"{path}: no such recipe; {nearest(file.stem, shipped)}")


def shipped_recipes() -> list[Any]:
    """The recipe files inside the package."""
    folder = resources.files("asap_tf.recipes")
    return [f for f in folder.iterdir() if f.name.endswith(".yaml")]


def one_line(value: object) -> str:
    """An error's or an option's text without line breaks."""
    return " ".join(str(value).split())
