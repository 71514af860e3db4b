"""The programs in the documentation that need nothing of asap-tf, run as they are printed."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

DEPLOY = Path(__file__).parents[1] / "docs" / "deploy.md"
PROGRAMS = dict(re.findall(r"<!-- (\w+) -->\n```python\n(.*?)```", DEPLOY.read_text(), re.DOTALL))

GUARD = """
import sys
class Guard:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {refused}:
            raise ImportError(name + " is not to be had here")
sys.meta_path.insert(0, Guard())
"""


@pytest.fixture(scope="module")
def place(trained_model, streets_root, tmp_path_factory):
    """A folder with the export and a frame, and what the Keras model makes of it."""
    from asap_tf import load, open_dataset
    from asap_tf.data.images import read_image
    from asap_tf.export.exporter import export

    folder = tmp_path_factory.mktemp("place")
    formats = ["saved_model", "litert", "onnx"]
    export(
        trained_model,
        folder / "export",
        formats,
        ["fp32", "int8"],
        calibration=streets_root,
    )
    frame = read_image(open_dataset(streets_root).pairs("val")[0].image)[np.newaxis]
    np.save(folder / "frames.npy", frame)
    return folder, load(trained_model).predict(frame)


def test_there_is_one_for_each():
    assert set(PROGRAMS) == {"tensorflow", "ai_edge_litert", "onnxruntime"}


@pytest.mark.parametrize("package", ["tensorflow", "ai_edge_litert", "onnxruntime"])
def test_program(place, package):
    folder, expected = place
    refused = {"asap_tf", "keras", "tensorflow", "ai_edge_litert", "onnxruntime"} - {package}
    if package == "tensorflow":
        refused.discard("keras")
    program = GUARD.format(refused=refused) + PROGRAMS[package] + "np.save('labels.npy', labels)\n"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=folder, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    labels = np.load(folder / "labels.npy")
    assert (labels.dtype, labels.shape) == (np.uint8, (1, 64, 128))
    assert np.mean(labels == expected) > (0.96 if package == "ai_edge_litert" else 0.999)
