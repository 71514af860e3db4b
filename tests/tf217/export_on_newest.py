"""Exports, on the newest TensorFlow, what `test_load.py` opens on 2.17. Not collected by itself."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np

import asap_tf
from asap_tf.data.images import read_image
from asap_tf.export.exporter import export


def test_export(trained_model, streets_root):
    folder = Path(os.environ["ASAP_TF_EXPORTED"])
    formats, precisions = ["saved_model", "litert", "onnx", "openvino"], ["fp32", "int8"]
    export(trained_model, folder, formats, precisions, calibration=streets_root)
    shutil.copy(trained_model, folder / "model.keras")
    pairs = asap_tf.open_dataset(streets_root).pairs("val")
    frames = np.stack([read_image(pair.image) for pair in pairs])
    paths = [path for path in folder.iterdir() if path.suffix not in (".json", ".bin")]
    assert len(paths) == 8
    labels = {path.name: asap_tf.load(path).predict(frames) for path in paths}
    np.savez(folder / "labels.npz", frames=frames, **labels)
