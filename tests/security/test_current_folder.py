"""Neither a command nor a process that it starts imports from the folder that it is run in."""

from __future__ import annotations

import shutil
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

MODULES = (
    "asap_tf av click cv2 fastapi fsspec h5py huggingface_hub hypothesis json keras matplotlib "
    "mlflow multiprocessing numpy onnx onnxruntime openvino pickle PIL prometheus_client psutil "
    "pyarrow pydantic ray sitecustomize socket starlette tensorflow tensorrt tqdm usercustomize "
    "uvicorn yaml"
).split()

TRAP = "import pathlib; pathlib.Path({mark!r}, {name!r}).touch(); raise ImportError('a trap')\n"

# As the console script: not `python -m`, which looks into the current folder itself.
SCRIPT = """
import os, shlex, signal, sys, threading
import asap_tf.cli.demo, asap_tf.reproduce.ablations
from asap_tf.cli import main
asap_tf.cli.demo.FRAMES = asap_tf.reproduce.ablations.STREETS = {"train": 8, "val": 8}
if __name__ == "__main__":
    for line in sys.stdin:
        sys.argv[1:] = shlex.split(line)
        if sys.argv[1] == "serve":
            threading.Timer(30, os.kill, (os.getpid(), signal.SIGTERM)).start()
        try:
            main()
        except SystemExit as end:
            print("ended with", end.code or 0, line, flush=True)
"""


@pytest.fixture
def run(tmp_path):
    """Runs commands in a folder of traps; gives what they printed and the traps that closed."""
    trap, mark, script = (tmp_path / name for name in ("trap", "mark", "bin/asap-tf"))
    for folder in (trap, mark, script.parent):
        folder.mkdir()
    script.write_text(SCRIPT)
    for name in MODULES:
        (trap / f"{name}.py").write_text(TRAP.format(mark=str(mark), name=name))
    (trap / "asap_tf").mkdir()
    (trap / "asap_tf" / "__init__.py").write_text(TRAP.format(mark=str(mark), name="a folder"))

    def run(*commands: str) -> tuple[str, list[str]]:
        done = subprocess.run(
            [sys.executable, script],
            input="\n".join(commands),
            cwd=trap,
            capture_output=True,
            text=True,
            timeout=3600,
        )
        return done.stdout + done.stderr, sorted(file.name for file in mark.iterdir())

    return run


@pytest.fixture
def camvid(tmp_path):
    """Two frames of 32 x 64 a split, in CamVid's layout."""
    rng = np.random.default_rng(0)
    for split in ("train", "val"):
        for folder, size, most in ((split, (32, 64, 3), 256), (f"{split}annot", (32, 64), 12)):
            (tmp_path / "camvid" / folder).mkdir(parents=True)
            for i in range(2):
                array = rng.integers(0, most, size).astype("uint8")
                Image.fromarray(array).save(tmp_path / "camvid" / folder / f"{i}.png")
    return tmp_path / "camvid"


def test_commands_that_open_models(run, artifact, camvid, tmp_path):
    output, closed = run(
        f"info {artifact}",
        f"predict {artifact} {camvid}/val --out {tmp_path}/labels",
        f"eval {artifact} --data {camvid}",
    )
    assert closed == []
    # Not scored: it does not name its classes.
    assert (output.count("ended with 0"), output.count("ended with 2")) == (2, 1), output


TRAINING = (
    "--set train.epochs=1 --set train.batch_size=2 --set train.precision=float32 "
    "--set augment.crop=[32,64]"
)


@pytest.mark.stress
def test_all_others(run, artifact, trained_model, camvid, tmp_path):
    voc = tmp_path / "voc"
    for folder, kind in (("JPEGImages", "train"), ("SegmentationClass", "trainannot")):
        shutil.copytree(camvid / kind, voc / folder)
    output, closed = run(
        f"data streets {tmp_path}/streets --train 8 --val 20 --size 64x128",
        f"data check {tmp_path}/streets",
        f"data show {tmp_path}/streets --out {tmp_path}/sheet.png",
        f"data prior {tmp_path}/streets",
        f"data convert {voc} {tmp_path}/converted --from voc",
        f"train camvid_resnet18_half --data {camvid} --out {tmp_path}/run {TRAINING}",
        f"gallery {tmp_path}/run --data {camvid} --out {tmp_path}/gallery.png",
        f"label {artifact} {camvid}/val --out {tmp_path}/labels",
        f"export {trained_model} --out {tmp_path}/export --tflite --onnx --openvino --saved-model "
        f"--precision fp32 --precision int8 --calibration {tmp_path}/streets",
        f"export {trained_model} --out {tmp_path}/page --web",
        f"export {trained_model} --out {tmp_path}/triton --layout triton",
        f"card {tmp_path}/run",
        "doctor",
        f"serve {artifact} --port 0",
        f"bench {tmp_path}/run {artifact} --seconds 0.1 --source 32x64 --chart {tmp_path}/c.png",
        f"demo --out {tmp_path}/demo {TRAINING}",
        "reproduce table1 --seconds 0.1 --size 32x64 --threads 1",
        f"reproduce table2 --seeds 1 --out {tmp_path}/table2 {TRAINING}",
        f"reproduce table3 --seeds 0 --out {tmp_path}/table3 {TRAINING}",
        f"export {tmp_path}/run --out {tmp_path}/engine --trt --size 32x64",
    )
    assert closed == []
    assert "2 labeled, 0 failed" in output
    # Without a GPU and without TensorRT for RTX the last one says what is missing.
    assert output.count("ended with") == 20, output
    assert output.count("ended with 0") >= 19, output
