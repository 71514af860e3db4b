from __future__ import annotations

import time

import pytest

from asap_tf.core.parsing import listed, parse_json, parse_yaml, quoted


def test_plain_values():
    assert parse_json(b'{"a": [1, 2.5, null, "x"]}') == {"a": [1, 2.5, None, "x"]}
    assert parse_yaml("a: [1, 2.5, null, x]") == {"a": [1, 2.5, None, "x"]}


@pytest.mark.parametrize(
    ("parse", "text", "what"),
    [
        (parse_json, "[" * 200_000 + "]" * 200_000, "nested"),
        (parse_json, "[" * 60 + "]" * 60, "nested more than 50 deep"),
        (parse_json, '"' + "x" * (1 << 22) + '"', "larger than 4096 kB"),
        (parse_json, "1" * 2_000_000, "digits"),
        (parse_json, "{", "Expecting"),
        (parse_json, b"\xff\xfe\xfd", "decode"),
        (parse_yaml, "[" * 4_000 + "]" * 4_000, "nested"),
        (parse_yaml, "[" * 60 + "]" * 60, "nested more than 50 deep"),
        (parse_yaml, "x" * (1 << 19), "larger than 256 kB"),
        (parse_yaml, "1" * 200_000, "digits"),
        (parse_yaml, "a: &a [1, 1]\nb: *a", "aliases"),
        (parse_yaml, "a: &a {b: 1}\nc: {<<: *a}", "aliases"),
        (parse_yaml, "!!python/object/apply:os.system [id]", "constructor"),
        (parse_yaml, "a: [", "expected"),
        (parse_yaml, "2026-99-99", "month"),
        (parse_yaml, "\x00", "special characters"),
    ],
    ids=range(16),
)
def test_what_is_refused(parse, text, what):
    started = time.monotonic()
    with pytest.raises(ValueError, match=what):
        parse(text)
    assert time.monotonic() - started < 20


def test_a_value_in_a_message():
    assert quoted({"a": [1]}) == "{'a': [1]}"
    assert quoted("\x1b]0;x\n") == r"'\x1b]0;x\n'"
    assert len(quoted(["x" * 1000] * 1000)) == 203
    assert quoted(1 << 100_000) == "a int"


def test_problems_in_a_message():
    assert listed(["a: missing", "a: missing", "b: wrong"]) == "a: missing; b: wrong"
    assert len(listed(f"k{i}: no such field" for i in range(15_000))) < 1000
