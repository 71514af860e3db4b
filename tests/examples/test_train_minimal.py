from __future__ import annotations

import runpy
import sys
from pathlib import Path

import numpy as np

import asap_tf

EXAMPLE = Path(__file__).parents[2] / "examples" / "train_minimal.py"


def test_trains_a_model_that_predicts_in_sixty_lines(streets_root, tmp_path, monkeypatch, capsys):
    assert len(EXAMPLE.read_text(encoding="utf-8").splitlines()) <= 60
    file = tmp_path / "model.keras"
    options = "--crop 32 64 --width 0.125 --epochs 2 --batch-size 4 --out".split()
    monkeypatch.setattr(sys, "argv", [EXAMPLE.name, str(streets_root), *options, str(file)])
    runpy.run_path(str(EXAMPLE), run_name="__main__")
    assert "Epoch 2/2" in capsys.readouterr().out
    labels = asap_tf.load(file).predict(np.zeros((1, 64, 128, 3), "uint8"))
    assert labels.shape == (1, 64, 128)
