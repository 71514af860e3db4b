"""Recipes that nobody would write: each is refused in one line, or means what it says."""

from __future__ import annotations

import datetime
import os

import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from asap_tf.core.errors import UsageError
from asap_tf.training.recipe import (
    Model,
    Recipe,
    apply_override,
    load_recipe,
    model_section,
    validate,
)


def fields(section: type[BaseModel] = Recipe, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """The paths of all fields, sections included."""
    found = []
    for name, field in section.model_fields.items():
        found.append((*path, name))
        kinds = [field.annotation, *getattr(field.annotation, "__args__", ())]
        kinds = [model_section("asap") if kind is Model else kind for kind in kinds]
        for kind in kinds:
            if isinstance(kind, type) and issubclass(kind, BaseModel):
                found += fields(kind, (*path, name))
    return found


# The same examples in every run, in seconds; ASAP_TF_FUZZ=60 takes about a minute, with others.
TIMES = max(1, int(float(os.environ.get("ASAP_TF_FUZZ", 0)) / 5))
FUZZ = settings(deadline=None, derandomize=TIMES == 1, database=None)

FIELDS = fields()
KNOWN = {name for path in FIELDS for name in path}

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.sampled_from([0, 1, -1, 32, 64, 255, 2**63, 10**30]),
    st.floats(),
    st.text(max_size=20),
    st.sampled_from(["asap", "resnet18", "adamw", "balanced", "null", "1e3", "../x", "\0", "é\n"]),
    st.dates(datetime.date(1, 1, 2)),
    st.binary(max_size=4),
)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(st.one_of(st.text(max_size=8), st.integers()), inner, max_size=3),
    ),
    max_leaves=8,
)


def changed(path: tuple[str, ...], value: object) -> dict:
    recipe: dict = {"name": "x", "augment": {"crop": [64, 96]}}
    section = recipe
    for name in path[:-1]:
        section = section.setdefault(name, {})
    section[path[-1]] = value
    return recipe


def accepted(recipe: dict) -> Recipe | None:
    """The recipe, or None if it was refused in one line that names the file."""
    try:
        result = validate(recipe, "r.yaml")
    except UsageError as error:
        assert str(error).startswith("r.yaml: ") and "\n" not in str(error)
        return None
    again = yaml.safe_load(result.to_yaml())
    assert validate(again, "again") == result
    return result


@given(st.sampled_from(FIELDS), values)
@example(("model", "width"), "1E0")
@settings(FUZZ, max_examples=600 * TIMES)
def test_any_value_of_any_field(path, value):
    result = accepted(changed(path, value))
    if result is not None and not isinstance(value, dict):
        kept = result.model_dump(mode="json")
        for name in path:
            kept = kept[name]
        # A quoted number or truth value stands for itself; that is all that is read into a value.
        plain = value.decode() if isinstance(value, bytes) else value
        if isinstance(plain, int) and isinstance(kept, float):
            plain = float(plain)
        if kept != plain and not isinstance(plain, list):
            # YAML reads 1e-3 as text; a person means a number by it.
            is_number = isinstance(kept, float) and float(plain) == kept
            assert isinstance(plain, str) and (is_number or yaml.safe_load(plain) == kept)


@given(st.sampled_from([path[:-1] for path in FIELDS]), st.text(min_size=1), values)
@settings(FUZZ, max_examples=300 * TIMES)
def test_no_unknown_field_is_accepted(section, name, value):
    if name not in KNOWN:
        assert accepted(changed((*section, name), value)) is None


@given(st.text(max_size=60))
@settings(FUZZ, max_examples=400 * TIMES)
def test_any_text_as_an_override(text):
    recipe = {"name": "x", "augment": {"crop": [64, 96]}}
    try:
        apply_override(recipe, text)
    except UsageError as error:
        assert "\n" not in str(error)
    else:
        accepted(recipe)


@given(st.sampled_from(FIELDS), st.text(max_size=30))
@settings(FUZZ, max_examples=400 * TIMES)
def test_any_text_as_the_value_of_an_override(path, text):
    recipe = {"name": "x", "augment": {"crop": [64, 96]}}
    try:
        apply_override(recipe, f"{'.'.join(path)}={text}")
    except UsageError as error:
        assert "\n" not in str(error)
    else:
        accepted(recipe)


@given(st.binary(max_size=200))
@settings(FUZZ, max_examples=300 * TIMES)
def test_any_bytes_as_a_file(tmp_path_factory, content):
    file = tmp_path_factory.getbasetemp() / "bytes.yaml"
    file.write_bytes(content)
    try:
        load_recipe(file)
    except UsageError as error:
        assert str(error).startswith(f"{file}: ") and "\n" not in str(error)


def test_no_tag_of_yaml_makes_an_object(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "r.yaml"
    for tag in (
        "!!python/object/apply:os.mkdir [made]",
        "!!python/object/new:os.mkdir [made]",
        "!!python/name:os.mkdir",
        "!!python/module:os",
        "!!python/object:pathlib.Path {}",
        "!made {}",
    ):
        for text in (f"name: {tag}\naugment: {{crop: [64, 96]}}", tag):
            file.write_text(text)
            try:
                load_recipe(file)
            except UsageError as error:
                assert "cannot be read as YAML" in str(error)
            else:
                raise AssertionError(f"{tag} was read")
        try:
            load_recipe("camvid_resnet18", [f"name={tag}"])
        except UsageError as error:
            assert "value is not YAML" in str(error)
        else:
            raise AssertionError(f"{tag} was read")
    assert list(tmp_path.iterdir()) == [file]
