"""JSON and YAML of others: text of any size and depth becomes plain values of a bounded one."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

from asap_tf.core.errors import shown

LARGEST_JSON = 1 << 22
LARGEST_YAML = 1 << 18
"""Bytes; a recipe or a dataset's description has some thousands."""

DEEPEST = 50


class _Loader(yaml.SafeLoader):
    """Plain values only, each written out: a few lines of aliases stand for any number of them."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("aliases (*) are not taken; write the value out")
        return super().compose_node(parent, index)


def parse_json(text: str | bytes) -> Any:
    """Plain values of JSON.

    Raises:
        ValueError: if it is none, or too large or too deep.

    Examples:
        >>> parse_json('{"size": [512, 1024]}')
        {'size': [512, 1024]}
    """
    return _bounded(json.loads, text, LARGEST_JSON)


def parse_yaml(text: str | bytes) -> Any:
    """Plain values of YAML, by its safe loader and without aliases.

    Raises:
        ValueError: if it is none, or too large or too deep.

    Examples:
        >>> parse_yaml("train: {epochs: 3}")
        {'train': {'epochs': 3}}
    """

    def load(text: str | bytes) -> Any:
        try:
            return yaml.load(text, _Loader)
        except yaml.YAMLError as error:
            raise ValueError(" ".join(str(error).split())) from error

    return _bounded(load, text, LARGEST_YAML)


def read_yaml(path: Path) -> Any:
    """Plain values of a YAML file.

    Raises:
        OSError: if it cannot be read.
        ValueError: as of `parse_yaml`, or if it is not a regular file.
    """
    if path.exists() and not path.is_file():
        raise ValueError("not a regular file")
    with path.open("rb") as file:
        # No more than is enough to see that it is too large.
        return parse_yaml(file.read(LARGEST_YAML + 1))


def _bounded(load: Any, text: str | bytes, most: int) -> Any:
    if len(text) > most:
        raise ValueError(f"larger than {most >> 10} kB")
    try:
        content = load(text)
    except RecursionError:
        raise ValueError(f"nested more than {DEEPEST} deep") from None
    level, depth = [content], 0
    while level := [
        child
        for value in level
        if isinstance(value, (dict, list))
        for child in (value.values() if isinstance(value, dict) else value)
    ]:
        depth += 1
        if depth > DEEPEST:
            raise ValueError(f"nested more than {DEEPEST} deep")
    return content


def quoted(value: object) -> str:
    """A value of others for a message: its `repr`, in one line of at most 200 characters.

    Examples:
        >>> quoted([1, "a"])
        "[1, 'a']"
    """
    try:
        return shown(repr(value), 200)
    except (ValueError, RecursionError):
        # Such as an integer of more digits than Python prints.
        return f"a {type(value).__name__}"


def listed(problems: Iterable[str], most: int = 20) -> str:
    """What is wrong with a file, for a message: each problem once, and not more than some.

    Examples:
        >>> listed(["a: missing", "b: missing", "c: missing"], 2)
        'a: missing; b: missing; and 1 more'
    """
    distinct = list(dict.fromkeys(problems))
    more = [f"and {len(distinct) - most} more"] if len(distinct) > most else []
    return "; ".join([*distinct[:most], *more])
