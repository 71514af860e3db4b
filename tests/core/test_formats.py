from __future__ import annotations

import configparser
import importlib
import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

from asap_tf.core.formats import FLOORS, FORMATS

ROOT = Path(__file__).parents[2]


def test_reading_the_table_imports_no_runtime():
    code = "import sys, asap_tf.core.formats; print(*sys.modules)"
    loaded = subprocess.check_output([sys.executable, "-c", code], text=True).split()
    assert not {"numpy", "keras", "tensorflow", "onnx", "openvino"} & {*loaded}


@pytest.mark.parametrize("row", FORMATS.values(), ids=FORMATS)
def test_what_a_row_names_is_there(row):
    extras = configparser.ConfigParser()
    extras.read(ROOT / "setup.cfg")
    module, name = row.network.split(":")
    assert callable(getattr(importlib.import_module(module), name).open)
    assert {*row.precisions} <= {*FLOORS}
    assert bool(row.modules) == bool(row.extra)
    assert not row.extra or row.extra in extras["options.extras_require"]


def test_writers_are_called_alike():
    writers = [importlib.import_module(row.writer) for row in FORMATS.values() if row.writer]
    first, *others = (list(inspect.signature(writer.write).parameters) for writer in writers)
    assert all(other == first for other in others)


def test_the_docs_table_is_this_one():
    texts = [path.read_text() for path in (ROOT / "README.md", *(ROOT / "docs").glob("*.md"))]
    (table,) = re.findall(r"<!-- formats -->\n.*\n.*\n((?:\|.*\n)+)", "".join(texts))
    documented = [[cell.strip() for cell in line[1:-1].split("|")] for line in table.splitlines()]
    assert documented == [
        [
            row.label,
            f"`--{row.flag}`",
            f"`{row.file_name('*')}`" + (f", `{row.companion}`" if row.companion else ""),
            ", ".join(row.precisions),
            row.extra,
        ]
        for row in FORMATS.values()
        if row.flag
    ]
