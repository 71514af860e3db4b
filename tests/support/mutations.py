"""Contents of files that nobody would write: bytes and plain values with others in some places."""

from __future__ import annotations

import copy
from typing import Any

from hypothesis import strategies as st

ESCAPE = "\x1b]0;x\x07"

tokens = st.sampled_from(
    [
        *(b"", b"[", b"{", b'"', b"0", b"-", b"1e999", b"NaN", b"null", b"*a", b"&a ", b"<<: "),
        *(b"!!python/object/apply:os.system [id]", ESCAPE.encode(), b"\n", b"\0", b"\xff" * 8),
        *(b"\xff\xff\xff\x7f", b"\0\0\0\x40", b"9" * 5000, b"[" * 5000, b"../", b"/dev/zero"),
        *(b"s3://a/b", b"zip://a::b", b"cos\nsystem\n", b"R", b"\x93", b"Q", b"\x80\x02", b"."),
    ]
)
edits = st.lists(
    st.tuples(
        st.floats(0, 1), st.one_of(st.none(), st.integers(0, 64)), tokens | st.binary(max_size=16)
    ),
    min_size=1,
    max_size=4,
)
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=20),
    st.sampled_from([-1, 0, 1, 256, 2**31, 2**63, 10**30, 1e308, "", "../x", "/dev/zero"]),
    st.sampled_from([ESCAPE, "a\nb", "x" * 5000, "\0", "1e3", "null", "asap_tf>FFDN", "Lambda"]),
    st.sampled_from(["Functional", "Dense", "builtins", "keras.layers", "function", "__lambda__"]),
)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(st.text(max_size=8) | st.just("class_name"), inner, max_size=3),
    ),
    max_leaves=8,
)
changes = st.lists(
    st.tuples(st.floats(0, 1), st.sampled_from(["put", "drop", "rename", "repeat"]), values),
    min_size=1,
    max_size=3,
)


def edited(content: bytes, edits: list[tuple[float, int | None, bytes]]) -> bytes:
    """Bytes with others in some places, put in or written over as many as are named."""
    for where, dropped, new in edits:
        at = int(where * len(content))
        content = content[:at] + new + content[at + (len(new) if dropped is None else dropped) :]
    return content


def changed(tree: Any, changes: list[tuple[float, str, Any]]) -> Any:
    """Plain values with others in some places, which may be anywhere in them."""
    tree = copy.deepcopy(tree)
    for where, how, value in changes:
        places, waiting = [], [tree]
        while waiting:
            found = waiting.pop()
            items = found.items() if isinstance(found, dict) else enumerate(found)
            for key, child in list(items):
                places.append((found, key))
                if isinstance(child, (dict, list)):
                    waiting.append(child)
        if not places:
            return value
        parent, key = places[int(where * (len(places) - 1))]
        if how == "drop":
            del parent[key]
        elif how == "rename" and isinstance(parent, dict):
            parent[str(value)[:100]] = parent.pop(key)
        elif how == "repeat" and isinstance(parent, list):
            parent *= 50
        else:
            parent[key] = value
    return tree
