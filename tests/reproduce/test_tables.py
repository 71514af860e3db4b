from __future__ import annotations

import pytest

from asap_tf.reproduce import table2, table3
from asap_tf.reproduce.paper import TABLE_1, TABLE_2, TABLE_3


@pytest.fixture(scope="module")
def counted():
    return table3.counts()


def test_table_iii_comes_out_to_the_printed_digits(counted):
    assert {title: f"{value:.2f}" for title, value in counted.items()} == {
        "fusion: General": "1.08",
        "fusion: FFDN": "0.54",
        "attention: conventional": "87.52",
        "attention: horizontal": "0.02",
        "attention: vertical": "0.02",
    }
    assert f"{counted['attention: vertical']:.3f}" == "0.022"


def test_the_misprint_is_said(counted):
    text = table3.text(counted, [])
    (line,) = (x for x in text.splitlines() if x.startswith("| attention: vertical "))
    assert "0.22" in line and "0.022" in line and "not reproduced" in line
    assert "misprint of 0.022" in text and "4000" in text
    (line,) = (x for x in text.splitlines() if x.startswith("| fusion: FFDN "))
    assert line.endswith("| reproduced                |")


def test_what_was_trained_stands_beside_the_paper(row):
    rows = [
        row("norms_none", 0, 20, pole=5, road=70),
        row("asap", 0, 25, pole=7, road=71),
        row("norms_in", 0, 24, pole=6, road=70),
        row("norms_in", 1, 26, pole=8, road=72),
    ]
    lines = {
        line.split("|")[1].strip(): [cell.strip() for cell in line.split("|")[2:-1]]
        for line in table2.text(rows).splitlines()
        if line.startswith("|")
    }
    assert lines["no norm"] == ["67.4", "20.0", "5.0", "70.0", "1"]
    assert lines["only IN"] == ["74.9", "25.0 ± 1.4", "7.0 ± 1.4", "71.0 ± 1.4", "2"]
    assert lines["only LN"] == ["70.0", "-", "-", "-", "0"]
    claim = lines["FFDN, vertical (ASAP) above only IN"]
    assert claim == ["+0.2", "+1.0", "+1.0", "+1.0", "not testable here: 1 seed"]


def test_printed_numbers_are_those_of_the_paper():
    """Typed a second time from the paper."""
    assert [n.miou for n in TABLE_1 if n.miou] == [
        *(69.5, 71.3, 71.3, 70.5, 73.0, 71.5, 71.4, 72.6, 73.4, 73.1)
    ]
    assert [n.fps for n in TABLE_1 if n.fps] == [
        *(34, 18.3, 100, 108, 106.4, 163.9, 172.4, 156, 188.6, 191)
    ]
    assert list(TABLE_2.values()) == [67.4, 70.0, 74.9, 75.1]
    assert [(m.gflops, m.miou) for m in TABLE_3] == [
        *((1.08, 74.4), (0.54, 75.9), (87.52, 76.7), (0.22, 74.6), (0.22, 75.9))
    ]
