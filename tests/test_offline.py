"""What needs no network opens no connection."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
from PIL import Image

WATCHED = """
import sys
def watch(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "urllib.Request"):
        print("NETWORK", event, arguments, file=sys.stderr)
        raise OSError("no network here")
sys.addaudithook(watch)
from asap_tf.cli import group
for line in sys.stdin:
    group.main(line.split(), standalone_mode=False)
"""

RECIPE = """
name: offline
model: {backbone: efficientnet_lite0, weights: imagenet}
augment: {crop: [32, 64]}
train: {epochs: 1, batch_size: 2, precision: float32}
data: {root: data}
"""

COMMANDS = """
data check data
train offline.yaml --out run
eval run --data data
predict run data/val --out predictions
info run
export run --out export --tflite --size 32x64
"""


def test_no_command_opens_a_connection(tmp_path):
    rng = np.random.default_rng(0)
    for split in ("train", "val"):
        for folder, size, most in ((split, (32, 64, 3), 256), (f"{split}annot", (32, 64), 12)):
            (tmp_path / "data" / folder).mkdir(parents=True)
            for i in range(2):
                array = rng.integers(0, most, size).astype("uint8")
                Image.fromarray(array).save(tmp_path / "data" / folder / f"{i}.png")
    (tmp_path / "offline.yaml").write_text(RECIPE)
    done = subprocess.run(
        [sys.executable, "-c", WATCHED],
        input=COMMANDS.strip(),
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert "NETWORK" not in done.stderr
    assert done.returncode == 0, done.stderr[-2000:]
    assert list((tmp_path / "export").glob("*.tflite"))


def test_the_watch_sees_a_connection():
    attempt = WATCHED + "\nimport urllib.request; urllib.request.urlopen('http://127.0.0.1:9')"
    done = subprocess.run([sys.executable, "-c", attempt], input="", capture_output=True, text=True)
    assert "NETWORK" in done.stderr and done.returncode
