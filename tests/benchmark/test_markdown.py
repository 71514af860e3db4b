from __future__ import annotations

import pytest

from asap_tf.benchmark.markdown import figure, scaled, table


def test_table_is_aligned_markdown():
    assert table(("name", "ms"), [("a", "1.5"), ("longer", "20")], "lr") == [
        "| name   |  ms |",
        "| ------ | --: |",
        "| a      | 1.5 |",
        "| longer |  20 |",
    ]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0312, "0.031"),
        (0.9999, "1.000"),
        (4.567, "4.57"),
        (78.94, "78.9"),
        (188.6, "189"),
        (12345.6, "12346"),
    ],
)
def test_figure(value, text):
    assert figure(value) == text


def test_scaled():
    assert scaled(11_900_000, 1e6) == "11.9"
    assert scaled(None, 1e6) == "-"
