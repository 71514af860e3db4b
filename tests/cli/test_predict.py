from __future__ import annotations

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

import asap_tf
from asap_tf.saving import sidecar


def test_ids_of_an_image_are_the_models_labels(asap, model, camvid, tmp_path):
    frame = camvid / "val" / "0.png"
    result = asap("predict", model, frame, "--out", tmp_path / "out", "--mode", "ids")
    assert result.code == 0, result.err
    written = tmp_path / "out" / "0.png"
    assert result.out.strip() == str(written)
    expected = asap_tf.load(model).predict(np.asarray(Image.open(frame))[None])[0]
    np.testing.assert_array_equal(np.asarray(Image.open(written)), expected)


def test_mistakes(asap, model, camvid, tmp_path):
    out = tmp_path / "out"
    for args, message in [
        ([model, "absent.png", "--out", out], "absent.png"),
        ([model, "rtsp://a", camvid / "val" / "0.png"], "a stream has to be the only input"),
        ([model, "--out", out], "INPUTS"),
        ([tmp_path / "none", camvid / "val", "--out", out], "no such model"),
        ([model, camvid / "val", "--out", out, "--mode", "rgb"], "rgb"),
        ([model, "rtsp://a", "--json", out / "a.json"], "--json is for images, not for a stream"),
        ([model, "rtsp://a", "--out", out, "--mode", "labelme"], "--mode labelme is for images"),
        ([model, camvid / "val", "--out", out, "--polygons"], "name it with --json"),
        ([model, camvid / "val", "--json", camvid, "--out", out], f"--json {camvid}: is a folder"),
    ]:
        result = asap("predict", *args)
        assert (result.code, message in result.err) == (2, True), result.err
    assert not out.exists()


def test_answers_as_data(asap, model, artifact, camvid, tmp_path):
    file, out = tmp_path / "report.json", tmp_path / "out"
    arguments = (camvid / "val", "--out", out, "--json", file)
    result = asap("predict", model, *arguments, "--size", "96", "--polygons", "--mode", "labelme")
    assert result.code == 0, result.err
    assert result.out.split() == [str(out / "0.json"), str(out / "1.json"), str(file)]
    shapes = json.loads((out / "0.json").read_text())["shapes"]
    first, _ = json.loads(file.read_text())["images"]
    assert first["path"] == str(camvid / "val" / "0.png") and first["model"] == str(model)
    assert (first["size"], first["network_size"]) == ([40, 60], [64, 96])
    assert {p["class"] for p in first["polygons"]} == {shape["label"] for shape in shapes}
    assert asap("predict", artifact, *arguments).code == 0
    first, _ = json.loads(file.read_text())["images"]
    assert first["network_size"] == [32, 64] and "polygons" not in first
    assert sum(first["shares"].values()) == pytest.approx(1, abs=1e-5)


def test_exported_model_needs_no_tensorflow(artifact, camvid, tmp_path):
    code = (
        "import sys; from asap_tf.cli import main\n"
        "try: main()\n"
        "finally: sys.exit(2 * bool({'tensorflow', 'keras'} & set(sys.modules)))"
    )
    frame, out = camvid / "val" / "0.png", tmp_path / "out"
    args = ["predict", artifact, frame, "--out", out, "--mode", "ids"]
    subprocess.run([sys.executable, "-c", code, *args], check=True)
    expected = asap_tf.load(artifact).predict(np.asarray(Image.open(frame))[None])[0]
    np.testing.assert_array_equal(np.asarray(Image.open(out / "0.png")), expected)


def test_damaged_export(asap, artifact, camvid, tmp_path):
    damaged = tmp_path / artifact.name
    damaged.write_bytes(artifact.read_bytes()[:-100_000])
    for message in ("cannot be opened as litert", "damaged: it differs from what was exported"):
        result = asap("predict", damaged, camvid / "val", "--out", tmp_path / "out")
        assert result.code == 1 and f"{damaged}: " in result.err and message in result.err
        shutil.copy(sidecar(artifact), tmp_path)
    assert not (tmp_path / "out").exists()


def test_results_are_in_predictions_unless_told_otherwise(
    asap, model, camvid, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    result = asap("predict", model, camvid / "val" / "0.png")
    assert result.code == 0, result.err
    assert (tmp_path / "predictions" / "0.png").exists()


def test_size_and_legend(asap, model, artifact, camvid, tmp_path):
    frame, out = camvid / "val" / "0.png", tmp_path / "out"
    for options, size, tile in (
        (("--size", "96"), 96, None),
        (("--size", "64x32"), (64, 32), None),
        (("--size", "native"), None, None),
        (("--tile", "32", "--overlap", "8"), None, (32, 8)),
        (("--tile", "32", "--overlap", "8", "--size", "96"), 96, (32, 8)),
        (("--tile", "160", "--size", "96"), 96, None),
    ):
        result = asap("predict", model, frame, "--out", out, "--mode", "ids", *options)
        assert result.code == 0, result.err
        segmenter = asap_tf.load(model)
        segmenter.size, segmenter.tile = size, tile
        expected = segmenter.predict(np.asarray(Image.open(frame))[None])[0]
        np.testing.assert_array_equal(np.asarray(Image.open(out / "0.png")), expected)
    for size, message in (("x", "--size x"), ("0", "--size 0"), ("40x30", "at least 32x32")):
        result = asap("predict", model, frame, "--out", out, "--size", size)
        assert (result.code, message in result.err) == (2, True), result.err
    result = asap("predict", artifact, frame, "--out", out, "--size", "96")
    assert result.code == 2 and "--size 96: this model was exported for 32x64" in result.err
    for options, message in (
        (("--tile", "33"), "--tile 33: a multiple of 32"),
        (("--tile", "64", "--overlap", "64"), "--overlap 64: 0 to 63"),
    ):
        result = asap("predict", model, frame, "--out", out, *options)
        assert (result.code, message in result.err) == (2, True), result.err
    result = asap("predict", model, frame, "--out", out, "--mode", "confidence")
    assert result.code == 0, result.err
    confidence = asap_tf.load(model).confidence(np.asarray(Image.open(frame))[None])[0]
    np.testing.assert_allclose(np.asarray(Image.open(out / "0.png")) / 255, confidence, atol=0.002)
    least = float(confidence.mean())
    arguments = ("--mode", "ids", "--unknown-below", str(least))
    assert asap("predict", model, frame, "--out", out, *arguments).code == 0
    unknown = np.asarray(Image.open(out / "0.png")) == 255
    assert 0 < unknown.mean() < 1 and np.mean(unknown == (confidence < least)) > 0.99
    for arguments, message in (
        (("--unknown-below", "60"), "--unknown-below 60.0: a number from 0 to 1"),
        (("--mode", "ids", "--format", "jpg"), "--format jpg: --mode ids is written as png"),
    ):
        result = asap("predict", model, frame, "--out", out, *arguments)
        assert (result.code, message in result.err) == (2, True), result.err
    result = asap("predict", artifact, frame, "--out", out, "--mode", "confidence")
    assert result.code == 2 and "gives labels and no probabilities" in result.err
    heights = []
    for option in ("--legend", "--no-legend"):
        assert asap("predict", model, frame, "--out", out, option).code == 0
        heights.append(Image.open(out / "0.png").height)
    assert heights[0] > heights[1] == 40


def test_coco(asap, model, camvid, tmp_path):
    out = tmp_path / "out"
    result = asap("predict", model, camvid / "val", "--out", out, "--mode", "coco")
    assert result.code == 0, result.err
    assert result.out.splitlines() == [str(out / n) for n in ("0.png", "1.png", "panoptic.json")]
    assert len(json.loads((out / "panoptic.json").read_text())["annotations"]) == 2
    for options in (["--resume"], ["--json", tmp_path / "a.json"]):
        refused = asap("predict", model, camvid / "val", "--out", out, "--mode", "coco", *options)
        assert refused.code == 2 and "leave --json, --resume out" in refused.err
