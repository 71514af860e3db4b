"""Damaged exports of all formats neither crash nor hang who opens them; see the script."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import asap_tf

pytestmark = pytest.mark.stress

FORMATS = ("--tflite", "--onnx", "--openvino", "--saved-model")


def test_damaged_artifacts(times, tmp_path):
    from asap_tf.data.camvid import CLASSES
    from asap_tf.saving import save_model

    model, export = tmp_path / "model.keras", tmp_path / "export"
    save_model(asap_tf.ASAPNet(11, (None, None, 3), width=0.25), model, CLASSES, (128, 256))
    asap = [sys.executable, "-m", "asap_tf.cli", "export", model, "--out", export, *FORMATS]
    subprocess.run(asap, check=True)
    script = Path(__file__).with_name("damaged_artifacts.py")
    command = [sys.executable, script, export, "--count", str(times(60))]
    done = subprocess.run(command, capture_output=True, text=True)
    print(done.stdout)
    assert done.returncode == 0, done.stderr
