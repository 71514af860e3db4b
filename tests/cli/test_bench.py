from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from asap_tf import load, open_dataset
from asap_tf.benchmark import inference, rounds
from asap_tf.inference.evaluate import evaluate
from support import tiny  # noqa: F401

RECIPE = """\
name: tiny
model: {name: tiny}
augment: {crop: [32, 32]}
train: {batch_size: 2, precision: float32}
"""


@pytest.fixture
def short(monkeypatch):
    """Makes the protocol as short as it can be."""
    monkeypatch.setattr(rounds, "WINDOW", 1)
    monkeypatch.setattr(rounds, "MAX_WINDOWS", 2)
    for module in (rounds, inference):
        monkeypatch.setattr(module, "MIN_ROUNDS", 6)


def test_a_model_against_itself(asap, model, camvid, tmp_path, short):
    before = set(tmp_path.iterdir())
    out = tmp_path / "times.json", tmp_path / "times.png"
    result = asap(
        *("bench", model, model, "--size", "64x128", "--source", "96x160", "--threads", 1),
        *("--seconds", "0.1", "--json", out[0], "--chart", out[1], "--data", camvid),
    )
    assert result.code == 0, result.err
    miou = evaluate(load(model), open_dataset(camvid)).scores.miou
    content = json.loads(out[0].read_text())
    assert [a["name"] for a in content["artifacts"]] == [model.name, f"{model.name} (2)"]
    for artifact in content["artifacts"]:
        assert (artifact["format"], artifact["size"]) == ("keras", [64, 128])
        assert artifact["runtime"].endswith("1 thread")
        assert artifact["miou"] == pytest.approx(miou)
        assert all(len(row["seconds"]) == content["rounds"] for row in artifact["rows"].values())
    for line in ("threads: 1", "of 96x160, batch 1", "## Network only", f"| {model.name} (2) "):
        assert line in result.out
    with Image.open(out[1]) as chart:
        assert chart.format == "PNG" and np.asarray(chart).std() > 10
    assert set(tmp_path.iterdir()) - before == set(out)


def test_ctrl_c_reports_what_there_is(asap, model, tmp_path, short, monkeypatch):
    enough = 2

    def measure(runners, *args, **kwargs):
        return [[runner.turn() for runner in runners] for _ in range(enough)]

    monkeypatch.setattr(inference, "measure", measure)
    result = asap("bench", model, "--json", tmp_path / "times.json")
    assert result.code == 130
    assert "stopped before" in result.out and "## Network only" in result.out
    assert json.loads((tmp_path / "times.json").read_text())["complete"] is False


def test_ctrl_c_before_there_is_anything(asap, model, tmp_path, monkeypatch):
    def interrupted(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(inference, "write_source", interrupted)
    result = asap("bench", model, "--json", tmp_path / "times.json")
    assert result.code == 130 and result.out == ""
    assert result.err.strip().count("\n") == 0 and "nothing was measured" in result.err
    assert not any(tmp_path.iterdir())


def test_training(asap, camvid, tmp_path, monkeypatch):
    from asap_tf.benchmark import training

    monkeypatch.setattr(training, "PASSES", 1)
    monkeypatch.setattr(training, "MIN_BATCHES", 2)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny.yaml").write_text(RECIPE)
    before = set(tmp_path.rglob("*"))
    result = asap(
        *("bench", "--training", "tiny.yaml", "--data", camvid, "--seconds", "0.1"),
        *("--set", "train.seed=3", "--json", "times.json", "--chart", "times.png"),
    )
    assert result.code == 0, result.err
    content = json.loads((tmp_path / "times.json").read_text())
    assert content["recipe"]["train"]["seed"] == 3 and content["frames"] == 3
    assert set(content["rows"]) == {"step", "pipeline", "both"}
    for row in content["rows"].values():
        assert len(row["seconds"]) >= 2 and row["images_per_second"] > 0
    assert "input pipeline alone" in result.out
    # No run folder is left of it.
    new = {path.name for path in set(tmp_path.rglob("*")) - before}
    assert new == {"times.json", "times.png"}


def test_mistakes(asap, model, camvid, streets_root, tmp_path):
    (tmp_path / "x.txt").touch()
    for args, code, message in [
        ([], 2, "ARTIFACTS"),
        ([model, "--training", "camvid_resnet18"], 2, "ARTIFACTS"),
        ([tmp_path / "none.onnx"], 2, "none.onnx: no such model"),
        ([model, tmp_path / "x.txt"], 2, "x.txt: not a model"),
        ([model, "--size", "512"], 2, "--size 512: HEIGHTxWIDTH"),
        ([model, "--size", "30x1000"], 2, "--size 30x1000: at least 32x32 is needed"),
        ([model, "--source", "wide"], 2, "--source wide: HEIGHTxWIDTH"),
        ([model, "--source", "8x8"], 2, "--source 8x8"),
        ([model, "--threads", "0"], 2, "--threads"),
        ([model, "--seconds", "0"], 2, "--seconds 0"),
        ([model, "--seconds", "nan"], 2, "--seconds nan"),
        ([model, "--seconds", "inf"], 2, "--seconds inf"),
        ([model, "--set", "train.seed=1"], 2, "--set is for --training"),
        ([model, "--data", tmp_path / "none"], 2, "none: no such folder"),
        ([model, "--data", streets_root], 2, "the model has 11 classes, cityscapes data at"),
        ([model, "--json", tmp_path / "no" / "x.json"], 1, "x.json: cannot be written"),
        ([model, "--json", tmp_path], 2, "a folder"),
        ([model, "--chart", tmp_path / "x.jpg"], 2, ".png"),
        (["--training", "camvid_resnet18"], 2, "--data"),
        (["--training", "camvid_resnet"], 2, "did you mean 'camvid_resnet18'?"),
        (["--training", "camvid_resnet18", "--threads", "2"], 2, "not --training"),
    ]:
        result = asap("bench", *args)
        assert (result.code, message in result.err) == (code, True), (args, result.err)
        assert result.out == ""
    assert [path.name for path in tmp_path.iterdir() if path != camvid] == ["x.txt"]
