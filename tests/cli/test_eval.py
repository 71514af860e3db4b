from __future__ import annotations

import json
import shutil
import sys

import numpy as np
import pytest
from PIL import Image

import asap_tf
from asap_tf.export.build_engine import build
from asap_tf.export.rtx import NOT_COMPARED
from asap_tf.inference.metrics import Scores, confusion_matrix
from asap_tf.runtime import engine
from asap_tf.saving import sidecar, write_sidecar
from support import gpu


def expected_scores(path, camvid, **changes):
    segmenter, matrix = asap_tf.load(path), 0
    for name, value in changes.items():
        setattr(segmenter, name, value)
    for i in range(2):
        frame = np.asarray(Image.open(camvid / "val" / f"{i}.png"))
        truth = np.asarray(Image.open(camvid / "valannot" / f"{i}.png"))
        truth = np.where(truth == 11, 255, truth).astype("uint8")
        matrix = matrix + confusion_matrix(truth, segmenter.predict(frame[None])[0], 11)
    return Scores.from_confusion(matrix, segmenter.classes)


def test_scores_are_those_of_the_predictions(asap, model, camvid, tmp_path):
    result = asap("eval", model, "--data", camvid, "--json", tmp_path / "s.json")
    assert result.code == 0, result.err
    scores = json.loads((tmp_path / "s.json").read_text())
    assert scores["miou"] == expected_scores(model, camvid).miou
    assert scores["frames"] == 2
    assert f"{scores['miou'] * 100:.2f}" in result.out


def test_a_drive_that_was_kept_from_training(asap, model, camvid, tmp_path):
    """Here frames "0": one of the training split, one of the validation split."""
    table = tmp_path / "frames.csv"
    result = asap("eval", model, "--data", camvid, "--holdout", "0", "--per-frame", table)
    assert result.code == 0, result.err
    scored = [line.split(",")[0] for line in table.read_text().splitlines()[1:]]
    assert scored == [str(camvid / split / "0.png") for split in ("train", "val")]
    refused = asap("eval", model, "--data", camvid, "--holdout", "x")
    assert refused.code == 2 and "holdout='x': no name of a frame of split 'train'" in refused.err


def test_near_boundaries_and_by_frame(asap, model, camvid, tmp_path):
    files = {"--json": tmp_path / "s.json", "--per-frame": tmp_path / "frames.csv"}
    options = [argument for pair in files.items() for argument in pair]
    by = ["--by", "size", "--by", "row"]
    result = asap("eval", model, "--data", camvid, "--boundary", 2, *by, *options)
    assert result.code == 0, result.err
    scores = json.loads((tmp_path / "s.json").read_text())
    near = scores["boundary"]
    assert near["pixels"] == 2
    assert f"within 2 pixels of a boundary: mIoU {near['miou']:.2%}" in result.out
    assert f"F-score of boundaries {near['mean_f_score']:.2%}" in result.out
    for part in (*scores["by_size"].values(), *scores["by_row"].values()):
        assert part["miou"] is None or f"{100 * part['miou']:.2f}" in result.out
    head, *rows = (tmp_path / "frames.csv").read_text().splitlines()
    assert head == "frame,miou,pixel_accuracy" and len(rows) == 2
    assert rows[1].startswith(f"{camvid / 'val' / '1.png'},")
    assert asap("eval", model, "--data", camvid, "--boundary", 0).code == 2


def test_corruptions(asap, model, camvid, tmp_path):
    command = ["eval", model, "--data", camvid, "--frames", 1, "--json", tmp_path / "s.json"]
    result = asap(*command, "--corruptions")
    assert result.code == 0, result.err
    scores = json.loads((tmp_path / "s.json").read_text())
    assert scores["frames"] == 1 and len(scores["corruptions"]["snow"]["miou"]) == 5
    for score in (scores["miou"], scores["mean"], scores["corruptions"]["fog"]["mean"]):
        assert f"{100 * score:.2f}" in result.out
    assert asap(*command).code == 0
    alone = json.loads((tmp_path / "s.json").read_text())
    assert (alone["miou"], alone["frames"]) == (scores["miou"], 1)
    for options in (["--flip"], ["--by", "row"], ["--boundary", 2]):
        refused = asap(*command, "--corruptions", *options)
        assert refused.code == 2 and f"{options[0]}" in refused.err


def test_calibrate(asap, model, camvid, tmp_path):
    file = tmp_path / "copy.keras"
    shutil.copy(model / "model.keras", file)
    before = asap_tf.load(file)
    result = asap("eval", file, "--data", camvid, "--calibrate")
    assert result.code == 0 and "expected calibration error" in result.out, result.err
    after = asap_tf.load(file)
    assert f"at temperature {after.temperature:.3f}" in result.out and after.temperature != 1
    frame = np.zeros((1, 32, 64, 3), np.uint8)
    np.testing.assert_array_equal(before.predict(frame), after.predict(frame))
    ((rows, logits),) = ((rows, x) for _, rows, x in before.logits_in_parts(frame))
    odds = np.exp(logits / after.temperature)
    expected = odds.max(-1) / odds.sum(-1)
    np.testing.assert_allclose(after.confidence(frame)[0], expected, atol=1e-5)
    assert {**after.metadata, "temperature": None} == {**before.metadata, "temperature": None}
    again = asap("eval", file, "--data", camvid, "--calibrate")
    assert f"{after.temperature:.3f}" in again.out
    refused = asap("eval", "asap_lite0_camvid", "--data", camvid, "--calibrate")
    assert refused.code == 2 and "is no file of yours: copy" in refused.err


def test_scales_and_flip(asap, model, camvid):
    result = asap("eval", model, "--data", camvid, "--scales", 1, "--scales", 2, "--flip")
    assert result.code == 0 and "mIoU" in result.out


def test_mistakes(asap, model, camvid, tmp_path):
    for args, code, message in [
        ([tmp_path / "none.keras", "--data", camvid], 2, "no such model"),
        ([model, "--data", camvid, "--split", "test"], 2, "has no split 'test'"),
        ([model, "--data", camvid, "--scales", "0"], 2, "scales"),
        ([model, "--data", camvid, "--submission", tmp_path / "s.zip"], 2, "Cityscapes"),
        ([model, "--data", camvid, "--json", tmp_path / "no" / "s.json"], 1, "s.json"),
    ]:
        result = asap("eval", *args)
        assert (result.code, message in result.err) == (code, True), result.err


def test_an_exported_model_is_scored_like_any_other(asap, artifact, camvid, tmp_path):
    result = asap("eval", artifact, "--data", camvid, "--json", tmp_path / "s.json")
    assert result.code == 0, result.err
    scores = json.loads((tmp_path / "s.json").read_text())
    assert scores["miou"] == expected_scores(artifact, camvid).miou > 0


def test_labels_cannot_be_averaged(asap, artifact, camvid):
    for args, message in [
        (["--flip"], "gives labels and no probabilities: leave --scales and --flip out"),
        (["--scales", "2"], "exported for 32x64 and cannot run at 64x128: leave --scales out"),
    ]:
        result = asap("eval", artifact, "--data", camvid, *args)
        assert (result.code, message in result.err) == (2, True), result.err


def test_damaged_files_are_skipped_and_listed(asap, model, camvid, tmp_path, caplog):
    (camvid / "valannot" / "0.png").write_bytes(b"no image")
    stopped = asap("eval", model, "--data", camvid)
    assert stopped.code == 1 and "0.png" in stopped.err
    result = asap("eval", model, "--data", camvid, "--skip-bad", "--json", tmp_path / "s.json")
    assert result.code == 0, result.err
    assert json.loads((tmp_path / "s.json").read_text())["frames"] == 1
    assert [m for m in caplog.messages if "skipped" in m][1:] == ["bad files skipped: 1"]


def test_a_dataset_of_other_classes_by_table(asap, model, camvid, tmp_path):
    classes = "".join(f"  - {{name: {n}, color: [{i}, 0, 0]}}\n" for i, n in enumerate(OTHER))
    (camvid / "dataset.yaml").write_text(
        f"masks: index\nignore_label: [2, 3, 4, 5, 6, 7, 8, 9, 10, 11]\nclasses:\n{classes}"
        "splits:\n  val: {images: val, masks: valannot}\n"
    )
    table = tmp_path / "own.yaml"
    table.write_text("above: [sky, tree, building]\nbelow: [road, sidewalk]\n")
    result = asap("eval", model, "--data", camvid, "--table", table, "--json", tmp_path / "s.json")
    assert result.code == 0, result.err
    assert "above  sky, building, tree" in result.out
    scores = json.loads((tmp_path / "s.json").read_text())
    assert scores["compared"]["above"] == ["sky", "building", "tree"]
    result = asap("eval", model, "--data", camvid)
    assert result.code == 2 and "give a --table" in result.err
    result = asap("eval", model, "--data", camvid, "--table", "camvdi")
    assert result.code == 2 and "did you mean 'camvid'" in result.err


OTHER = ("above", "below")


def test_an_engine_says_where_it_was_scored(asap, artifact, camvid, tmp_path, monkeypatch):
    rtx = pytest.importorskip("tensorrt_rtx", reason="its wheels are for Python 3.11 and 3.12")
    graph = gpu.graph(batch=1).SerializeToString()
    path = tmp_path / "asap_rtx.engine"
    path.write_bytes(build(rtx, graph, "fp32", ["8.9"]).plan)
    classes = json.loads(sidecar(artifact).read_text())["classes"]
    metadata = {"on_gpu": NOT_COMPARED, "classes": classes, "compute_capability": ["8.9"]}
    write_sidecar(path, metadata | {"format": "tensorrt_rtx"})
    assert NOT_COMPARED in asap("info", path).out
    result = asap("eval", path, "--data", camvid)
    assert (result.code, "missing: a GPU" in result.err) == (1, True)
    assert json.loads(sidecar(path).read_text())["on_gpu"] == NOT_COMPARED
    monkeypatch.setattr(engine.ctypes, "CDLL", lambda name: gpu.Driver())
    monkeypatch.setitem(sys.modules, "tensorrt_rtx", gpu.runtime(graph))
    assert asap("eval", path, "--data", camvid).code == 0
    said = json.loads(sidecar(path).read_text())["on_gpu"]
    assert said.startswith("mIoU ") and said.endswith(", Imagined GPU")
    assert said in asap("info", path).out


def test_another_size_for_the_network(asap, model, camvid, tmp_path):
    result = asap("eval", model, "--data", camvid, "--size", "96", "--json", tmp_path / "s.json")
    assert result.code == 0, result.err
    scores = json.loads((tmp_path / "s.json").read_text())
    assert scores["miou"] == expected_scores(model, camvid, size=(64, 96)).miou
