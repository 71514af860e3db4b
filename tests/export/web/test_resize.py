"""The page's resize in Node, against `resize_frame`."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from asap_tf.core.resize import resize_frame
from asap_tf.export import web

SCRIPT = """
import fs from "node:fs";
globalThis.self = {};
const { resizeFrame } = await import(process.argv[1]);
const [source, target] = JSON.parse(process.argv[2]);
const rgb = new Uint8Array(3 * target.height * target.width);
resizeFrame(new Uint8Array(fs.readFileSync(0)), source, target, rgb);
fs.writeSync(1, rgb);
"""


@pytest.mark.parametrize(
    ("source", "target"),
    [
        ((40, 60), (64, 96)),
        ((250, 333), (64, 128)),
        ((128, 256), (64, 128)),
        ((513, 300), (64, 128)),
        ((300, 1000), (64, 96)),
        ((64, 256), (64, 128)),
        ((257, 511), (32, 32)),
    ],
)
def test_frames_are_resized_to_the_bit(tmp_path, source, target):
    node = shutil.which("node")
    if node is None:
        pytest.skip("needs Node")
    frame = np.random.default_rng(0).integers(0, 256, (*source, 4), np.uint8)
    module = tmp_path / "network.mjs"
    shutil.copy(Path(web.__file__).with_name("network.js"), module)
    sizes = json.dumps([{"height": h, "width": w} for h, w in (source, target)])
    command = [node, "--input-type=module", "-e", SCRIPT, module.as_uri(), sizes]
    done = subprocess.run(command, input=frame.tobytes(), capture_output=True, check=True)
    found = np.frombuffer(done.stdout, np.uint8).reshape(*target, 3)
    np.testing.assert_array_equal(found, resize_frame(frame[..., :3], target))
