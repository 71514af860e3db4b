"""`asap-tf label` with its workers, or all of it, killed (signal 9) again and again.

At the end the manifest has every frame once, and every label map is what the model makes of its
frame: nothing is lost, doubled or labeled differently.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

import asap_tf
from asap_tf.streets import render
from support.label_processes import labelers, manifest_faults

pytestmark = pytest.mark.stress

SIZE, BLOCK = (128, 256), 16
DIFFERENT = 20
"""Rendered frames; the others are copies of them."""
EVERY = 5.0
"""Seconds between two kills, on average."""


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A LiteRT artifact of ASAP with random weights."""
    from asap_tf.data.cityscapes import CLASSES
    from asap_tf.saving import save_model

    folder = tmp_path_factory.mktemp("model")
    network = asap_tf.ASAPNet(19, (None, None, 3), width=0.25)
    save_model(network, folder / "model.keras", CLASSES, SIZE)
    export = [sys.executable, "-m", "asap_tf.cli", "export", folder / "model.keras", "--tflite"]
    subprocess.run([*export, "--out", folder / "export"], check=True)
    return folder / "export" / "asap_fp32.tflite"


@pytest.mark.parametrize("victim", ["a worker", "the command"])
def test_nothing_is_lost_whatever_is_killed(victim, model, times, rng, tmp_path):
    frames, out = tmp_path / "frames", tmp_path / "out"
    frames.mkdir()
    for i in range(DIFFERENT):
        Image.fromarray(render(i, *SIZE).image).save(frames / f"{i:06d}.png")
    for i in range(DIFFERENT, times(500)):
        shutil.copy(frames / f"{i % DIFFERENT:06d}.png", frames / f"{i:06d}.png")
    paths = sorted(map(str, frames.iterdir()))
    options = ["--out", out, "--workers", "2", "--threads", "1", "--block", str(BLOCK)]
    command = [sys.executable, "-m", "asap_tf.cli", "label", model, frames, *options]

    kills, code = 0, None
    while code != 0:
        before = len(list(out.glob("shards/*.parquet")))
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        # Killed before it has labeled anything, it would never end.
        while process.poll() is None and len(list(out.glob("shards/*.parquet"))) == before:
            time.sleep(0.1)
        while True:
            try:
                code = process.wait(EVERY * rng.uniform(0.5, 1.5))
                break
            except subprocess.TimeoutExpired:
                found = labelers(process.pid) if victim == "a worker" else [process.pid]
                if found:
                    os.kill(int(rng.choice(found)), signal.SIGKILL)
                    kills += 1
        assert code in (0, -signal.SIGKILL)
    print(f"{victim}: killed {kills} times, {len(paths)} frames")

    assert kills and manifest_faults(out, paths) == []
    segmenter = asap_tf.load(model, threads=1)
    truth = [segmenter.predict(np.asarray(Image.open(p))[None])[0] for p in paths[:DIFFERENT]]
    for row in pq.read_table(out / "manifest.parquet").to_pylist():
        found = np.asarray(Image.open(out / row["file"]))
        np.testing.assert_array_equal(found, truth[row["number"] % DIFFERENT], row["path"])
