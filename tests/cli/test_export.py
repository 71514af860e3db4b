from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

import support.tiny  # noqa: F401  registers the network
from asap_tf.models import create_model


def test_an_artifact_is_taken_where_a_model_is(asap, trained_model, streets_root, tmp_path):
    result = asap(
        *("export", trained_model, "--out", tmp_path / "out", "--tflite"),
        *("--calibration", streets_root),
    )
    assert result.code == 0, result.err
    line, note, last = result.out.splitlines()
    assert last.startswith("compared with the Keras model on 20 frames of the validation split")
    artifact = tmp_path / "out" / "asap_fp32.tflite"
    assert line.startswith(f"{artifact}  {artifact.stat().st_size / 1e6:.1f} MB  ")
    assert "% of labels as in Keras, mIoU " in line
    assert note.strip().startswith("1 XNNPACK partition")

    frame = next(streets_root.glob("leftImg8bit/val/streets/*.png"))
    labels = {}
    for model in (trained_model, artifact):
        out = tmp_path / model.stem
        assert asap("predict", model, frame, "--out", out, "--mode", "ids").code == 0
        labels[model] = np.asarray(Image.open(out / frame.name))
    assert np.mean(labels[trained_model] == labels[artifact]) > 0.999


def test_mistakes(asap, trained_model, model, tmp_path):
    out = tmp_path / "out"
    for args, message in [
        ([trained_model, "--out", out], "no format: give one or more of --saved-model, --"),
        ([trained_model, "--tflite"], "--out"),
        ([tmp_path / "none", "--out", out, "--tflite"], "no such model"),
        ([trained_model, "--out", out, "--tflite", "--precision", "fp8"], "fp8"),
        ([trained_model, "--out", out, "--tflite", "--size", "wide"], "--size wide: "),
        (
            [trained_model, "--out", out, "--tflite", "--size", "100x128"],
            "was built for 64x128; leave",
        ),
        ([trained_model, "--out", out, "--tflite", "--precision", "int8"], "--calibration"),
        ([trained_model, "--out", out, "--tflite", "--calibration", tmp_path], "no images"),
        ([trained_model, "--out", tmp_path, "--tflite"], "already exists"),
        ([trained_model, "--out", out, "--tflite", "--vendor"], "--vendor goes with --web"),
        ([trained_model, "--out", out, "--layout", "triton", "--web"], "--layout make folders"),
        ([trained_model, "--out", out, "--layout", "triton", "--tflite"], "--onnx or --trt"),
        ([trained_model, "--out", out, "--layout", "tf-serving", "--onnx"], "--saved-model"),
        ([trained_model, "--out", out, "--layout", "triton", "--trt-engine", "rtx"], "leave"),
        ([trained_model, "--out", out, "--web", "--bundle"], "--web, --bundle and --layout"),
    ]:
        result = asap("export", *args)
        assert (result.code, message in result.err) == (2, True), result.err
    assert not out.exists()


def test_trt_without_a_gpu(asap, tmp_path):
    pytest.importorskip("tensorrt_rtx", reason="its wheels are for Python 3.11 and 3.12")
    create_model("tiny", num_classes=5, input_shape=(64, 128, 3)).save(tmp_path / "tiny.keras")
    args = ["export", tmp_path / "tiny.keras", "--size", "64x128", "--out", tmp_path / "out"]
    result = asap(*args, "--trt", "--trt-engine", "rtx", "--compute-capability", "8.6,8.9")
    assert result.code == 0, result.err
    choice, line, note, last = result.out.splitlines()
    assert choice.startswith("TensorRT for RTX 1.") and "ahead of time" in choice
    assert line.startswith(f"{tmp_path / 'out' / 'asap_fp32_rtx.engine'}  ")
    assert "compute capability 8.6, 8.9: " in note and " in 1 block, " in note
    assert "labels not yet compared on a GPU" in note
