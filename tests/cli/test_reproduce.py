from __future__ import annotations

import json

import pytest


@pytest.fixture
def row(tmp_path):
    """A training's result in `out`, as `asap-tf reproduce` leaves it behind."""
    run = tmp_path / "out" / "norms_in-2"
    run.mkdir(parents=True)
    metrics = {"miou": 0.31, "iou": {"pole": 0.1}, "step": 600, "training_minutes": 3.0}
    (run / "metrics.json").write_text(json.dumps(metrics))
    return run


def test_table3_counts_and_writes_its_numbers(asap, tmp_path):
    file = tmp_path / "table3.json"
    result = asap("reproduce", "table3", "--out", tmp_path / "out", "--json", file)
    assert result.code == 0 and "87.52" in result.out and "misprint" in result.out
    numbers = json.loads(file.read_text())
    assert numbers["gflops"]["fusion: FFDN"] == 0.536870912
    assert numbers["rows"] == [] and numbers["recipe"]["name"] == "ablation_streets"
    assert not (tmp_path / "out").exists()


def test_table2_shows_what_has_been_trained(asap, row, tmp_path):
    file = tmp_path / "table2.json"
    out = asap("reproduce", "table2", "--seeds", 0, "--out", row.parent, "--json", file).out
    (line,) = (x for x in out.splitlines() if x.startswith("| only IN  "))
    assert "74.9" in line and "31.0" in line
    (stored,) = json.loads(file.read_text())["rows"]
    assert (stored["variant"], stored["seed"], stored["miou"]) == ("norms_in", 2, 0.31)


@pytest.mark.parametrize(
    ("args", "code", "message"),
    [
        (["table2", "--data", "nowhere"], 2, "nowhere: no such folder"),
        (["table2", "--seeds", "-1"], 2, "-1"),
        (["table2", "--set", "train.epochs=x"], 2, "train.epochs"),
        (["table2", "--recipe", "cityscapes256"], 2, "give the dataset that it learns as well"),
        (["table3", "--chart", "no/such/folder.png"], 1, "cannot be written"),
        (["table1", "--size", "100x200"], 2, "multiples of 32"),
        (["table1", "some_run"], 2, "give both, or neither"),
        (["table4"], 2, "table4"),
    ],
)
def test_mistakes_end_in_one_line(asap, args, code, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = asap("reproduce", *args)
    assert result.code == code and message in result.err.splitlines()[-1]
    assert "Traceback" not in result.err and list(tmp_path.iterdir()) == []
