"""Every export of ours, opened by a process that did not write it, as a stranger's."""

from __future__ import annotations

import shutil
import subprocess
import sys

import numpy as np
import pytest

import asap_tf
from asap_tf.saving import artifact_files, sidecar

pytestmark = pytest.mark.stress

FORMATS = ["saved_model", "litert", "onnx", "openvino"]
PRECISIONS = ["fp32", "fp16", "int8", "dynamic"]

OPEN = """
import sys, numpy as np, asap_tf
frames = np.load(sys.argv[1])
for path in sys.argv[2:]:
    np.save(f"{path}.npy", asap_tf.load(path, threads=1).predict(frames))
"""


@pytest.mark.parametrize(
    ("output", "stride"),
    [
        *(
            (output, stride)
            for output in ("labels", "labels+confidence")
            for stride in (1, 2, 4, 8)
        ),
        ("logits", 1),
    ],
)
def test_all_formats_and_precisions(trained_model, streets_root, tmp_path, output, stride):
    from asap_tf.export.exporter import export

    out = tmp_path / "out"
    options = {"calibration": streets_root, "output": output, "label_stride": stride}
    made = export(trained_model, out, FORMATS, PRECISIONS, **options)
    assert len(made) == 1 + 4 + 3 + 3
    frames = np.random.default_rng(0).integers(0, 256, (1, 64, 128, 3), dtype=np.uint8)
    np.save(tmp_path / "frames.npy", frames)
    expected = {artifact.path: asap_tf.load(artifact.path).predict(frames) for artifact in made}
    bare = tmp_path / "bare"
    bare.mkdir()
    for path in list(expected):
        copy = bare / path.name
        if path.is_dir():
            shutil.copytree(path, copy)
            sidecar(copy).unlink()
        else:
            for file in artifact_files(path):
                shutil.copy(file, bare)
        expected[copy] = expected[path]
    command = [sys.executable, "-c", OPEN, tmp_path / "frames.npy", trained_model, *expected]
    subprocess.run(command, check=True)
    for path, labels in expected.items():
        np.testing.assert_array_equal(np.load(f"{path}.npy"), labels, str(path))
