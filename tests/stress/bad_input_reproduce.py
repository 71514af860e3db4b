"""Cases of `bad_input.py` about `reproduce` and damaged rows of its tables.

Yields its cases in the folder that `bad_input.prepare` and `bad_input_artifacts.prepare` have
filled.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from bad_input_cases import Case, halve

TRAIN = "table2 --seeds 1 --data camvid --set train.batch_size=2 --out"
METRICS = {"miou": 0.3, "iou": {"pole": 0.1}, "step": 600, "training_minutes": 3.0}


def reproduce_cases() -> Iterator[Case]:
    for what, arguments, names in (
        ("an unknown table", "table4", "'table4'"),
        ("an unknown table", "table_2", "'table_2'"),
        ("an unknown table", "2", "'2'"),
        ("a number out of range", "table2 --seeds -1", "--seeds"),
        ("not a number", "table2 --seeds three", "--seeds"),
        ("not a number", "table3 --seeds 1.5", "--seeds"),
        ("no such dataset", "table2 --data missing", "missing"),
        ("no dataset", "table2 --data plain", "plain"),
        ("a file in place of a dataset", "table3 --data tiny.yaml", "tiny.yaml"),
        ("a wrong value", "table2 --set train.epochs=x", "train.epochs"),
        ("an unknown field", "table3 --set train.epoch=3", "train"),
        ("a file in place of a folder", "table2 --seeds 1 --out tiny.yaml", "tiny.yaml"),
        ("a file in place of a folder", "table2 --seeds 0 --out tiny.yaml", "tiny.yaml"),
        ("a file in place of a folder", "table3 --out tiny.yaml --data camvid", "tiny.yaml"),
        (
            "a folder that cannot be written to",
            f"{TRAIN} tiny.yaml/rows",
            "tiny.yaml/rows",
        ),
        ("a folder in place of a file", "table2 --json plain", "plain"),
        ("a file that cannot be written", "table2 --json missing/t.json", "missing/t.json"),
        ("a file that cannot be written", "table3 --json tiny.yaml/t.json", "tiny.yaml/t.json"),
        ("a file that cannot be written", "table3 --chart missing/t.png", "missing/t.png"),
        ("a chart of another kind", "table3 --chart scaling.jpg", "scaling.jpg"),
        ("runs without data", "table1 model.keras", "--data"),
        ("data without runs", "table1 --data camvid", "--data"),
        ("no such dataset", "table1 model.keras --data missing", "missing"),
        ("no such model", "table1 missing.keras --data camvid", "missing.keras"),
        ("no run", "table1 plain --data camvid", "plain"),
        ("a model of no known network", "table1 model.keras --data camvid", "model.keras"),
        ("an unknown size", "table1 --size 512", "--size 512"),
        ("a size that is no multiple of 32", "table1 --size 100x200", "--size 100x200"),
        ("a number out of range", "table1 --threads 0", "--threads"),
        ("a number out of range", "table1 --seconds -1", "--seconds"),
        ("a number out of range", "table1 --seconds 0", "--seconds"),
        ("a number out of range", "table1 --seconds nan", "--seconds"),
        ("not a number", "table1 --seconds long", "--seconds"),
        ("a file that cannot be written", "table1 --json missing/t.json", "missing/t.json"),
    ):
        yield Case(what, f"reproduce {arguments}".strip(), names)
    for command, name in (
        ("table2 --seeds 0 --json table2.json", "table2.json"),
        (f"{TRAIN} rows", "norms_none-0"),
        ("table2 --seeds 1 --out rows", "rows"),
    ):
        yield Case("a full disk", f"reproduce {command}", name, full=True)
    yield from row_cases()


def row_cases() -> Iterator[Case]:
    """Damaged trainings, each in a folder of its own."""
    for what, folder, content in (
        ("a truncated row", "truncated", json.dumps(METRICS)[:20]),
        ("an empty row", "empty", ""),
        ("a row that is not text", "binary", "\udcff"),
        ("a row without a field", "short", json.dumps({"miou": 0.3})),
        ("a row of another kind", "list", "[]"),
        ("a row of wrong values", "text", json.dumps({**METRICS, "miou": "good"})),
    ):
        file = row(folder, "norms_in-2") / "metrics.json"
        file.write_text(content, encoding="utf-8", errors="surrogateescape")
        yield Case(what, f"reproduce table2 --seeds 0 --out rows-{folder}", str(file))

    train = f"reproduce {TRAIN} rows-"
    folder = row("recipeless", "norms_none-0")
    (folder / "metrics.json").write_text(json.dumps(METRICS))
    yield Case("a row without its recipe", f"{train}recipeless", str(folder))
    file = row("damaged", "norms_none-0") / "recipe.yaml"
    file.write_text(Path("tiny.yaml").read_text())
    halve(file)
    yield Case("a row with a damaged recipe", f"{train}damaged", str(file))
    file = row("other", "norms_none-0") / "recipe.yaml"
    file.write_text(Path("tiny.yaml").read_text())
    yield Case("a row of another recipe", f"{train}other", str(file.parent))
    file = row("file", "norms_ln-0").parent / "norms_none-0"
    file.write_text("no folder")
    yield Case("a file in place of a row", f"{train}file", str(file))


def row(folder: str, name: str) -> Path:
    path = Path(f"rows-{folder}", name)
    path.mkdir(parents=True, exist_ok=True)
    return path
