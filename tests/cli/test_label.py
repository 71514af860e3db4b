from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from PIL import Image


@pytest.fixture
def frames(tmp_path):
    folder = tmp_path / "frames"
    folder.mkdir()
    Image.fromarray(np.zeros((40, 60, 3), np.uint8)).save(folder / "a.png")
    return folder


def test_mistakes(asap, artifact, frames, tmp_path):
    out = tmp_path / "out"
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("mine")
    for args, message in [
        ([artifact, frames], "--out"),
        ([tmp_path / "none.tflite", frames, "--out", out], "no such model"),
        ([artifact, tmp_path / "none", "--out", out], "no such folder, video, list or table"),
        ([artifact, tmp_path / "empty", "--out", out], "no images in this folder"),
        ([artifact, frames / "a.png", "--out", out], "asap-tf predict labels it"),
        ([artifact, frames, "--out", tmp_path / "file"], "is a file"),
        ([artifact, frames, "--out", tmp_path / "full"], "holds other files already"),
        ([artifact, frames, "--out", frames / "labels"], "lies in the folder to label"),
        ([artifact, frames, "--out", out, "--workers", 0], "--workers 0"),
        ([artifact, frames, "--out", out, "--threads", 0], "--threads 0"),
        ([artifact, frames, "--out", out, "--gpus", -1], "--gpus -1"),
        ([artifact, frames, "--out", out, "--block", 0], "--block 0"),
        ([artifact, frames, "--out", out, "--format", "jpg"], "--format"),
    ]:
        result = asap("label", *args)
        assert (result.code, message in result.err) == (2, True), result.err
        assert len(result.err.strip().splitlines()) == 1 or result.err.startswith("Usage: ")
    assert not out.exists() and not (frames / "labels").exists()


def test_without_ray(artifact, frames, tmp_path):
    code = "import sys; sys.modules['ray'] = None; from asap_tf.cli import main; main()"
    args = ["label", artifact, frames, "--out", tmp_path / "out"]
    done = subprocess.run([sys.executable, "-c", code, *args], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "Error: ray is not installed; get it by: pip install 'asap-tf[ray]'\n"
    assert not (tmp_path / "out").exists()
