from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest

from asap_tf.core.errors import AsapError, UsageError

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def script(monkeypatch):
    """`benchmarks/training.py`, as another script would import it."""
    monkeypatch.syspath_prepend(BENCHMARKS)
    yield importlib.import_module("training")
    for name in ("training", "training_sides"):
        del sys.modules[name]


def test_rows(script):
    keras = {
        "Keras, float32": 2.0,
        "Keras, bfloat16": 1.0,
        "Keras, float32, XLA": 4.0,
        "input pipeline alone": 0.25,
    }
    pytorch = {
        "PyTorch, float32, contiguous": 3.0,
        "PyTorch, float32, channels last": 2.5,
        "PyTorch, bfloat16, contiguous": 1.5,
        "PyTorch, bfloat16, channels last": 2.0,
    }
    # Every second round takes twice as long: rates change, ratios do not.
    rounds = [
        [{row: t * factor for row, t in side.items()} for side in (keras, pytorch)]
        for factor in (1, 2) * 5
    ]
    rows = {row["row"]: row for row in script.rows_of(rounds, batch_size=8)}
    assert rows["Keras, float32"]["rate"] == 3 and rows["Keras, float32"]["interval"] == (2, 4)
    ratios = {name: row["ratio"] and row["ratio"].median for name, row in rows.items()}
    assert list(ratios.values()) == [1.25, 1.5, 0.625, None, 2.5 / 3, 1, 1, 0.75]
    gains = {name: row["gain"].median for name, row in rows.items() if row["over"]}
    assert gains == {
        "Keras, bfloat16": 2,
        "input pipeline alone": 8,
        "PyTorch, bfloat16, contiguous": 2,
        "PyTorch, bfloat16, channels last": 1.25,
    }


def test_different_networks_are_not_compared(script):
    script.require_same({"aux3": 9e-4, "loss at threshold 0.7": 9e-5})
    with pytest.raises(AsapError, match="aux3 is off by 1.1e-03"):
        script.require_same({"logits": 0.0, "aux3": 1.1e-3})
    with pytest.raises(AsapError, match="loss at threshold 0.7 is off by 2.0e-04"):
        script.require_same({"loss at threshold 0.7": 2e-4})
    with pytest.raises(AsapError, match="logits is off by nan"):
        script.require_same({"logits": float("nan")})


def test_without_pytorch_it_says_how_to_get_it(script, tmp_path):
    with pytest.raises(UsageError, match="pip install torch==.*--pytorch"):
        script.require_pytorch(str(tmp_path / "python"))


def test_only_the_network_that_pytorch_has(script):
    recipe = script.settled("camvid_resnet18", Path("CamVid"), ["train.batch_size=4"])
    assert (recipe.optimizer.name, recipe.loss.class_weights) == ("sgd", None)
    assert recipe.train.batch_size == 4
    with pytest.raises(UsageError, match="PyTorch's network"):
        script.settled("camvid_resnet18", Path("CamVid"), ["model.name=pidnet_s"])
