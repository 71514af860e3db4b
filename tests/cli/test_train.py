from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

import asap_tf
from asap_tf.data.camvid import CLASSES
from asap_tf.saving import save_model
from support.tiny import Tiny

RECIPE = """
name: tiny
model: {name: tiny}
augment: {crop: [32, 64]}
train: {epochs: 1, batch_size: 2, precision: float32}
"""


@pytest.fixture
def recipe(tmp_path):
    file = tmp_path / "tiny.yaml"
    file.write_text(RECIPE)
    return file


def test_trains_scores_and_leaves_a_run_folder(asap, recipe, camvid, tmp_path):
    run = tmp_path / "run"
    result = asap("train", recipe, "--data", camvid, "--out", run, "--set", "train.seed=3")
    assert result.code == 0, result.err
    assert "mIoU" in result.out and str(run / "report.html") in result.out
    names = {path.name for path in run.iterdir()}
    assert names == {
        "recipe.yaml",
        "log.jsonl",
        "lock",
        "checkpoints",
        "model.keras",
        "metrics.json",
        "report.html",
        "tensorboard",
    }
    assert "seed: 3" in (run / "recipe.yaml").read_text()
    metrics = json.loads((run / "metrics.json").read_text())
    assert metrics["frames"] == 2 and 0 <= metrics["miou"] <= 1
    assert asap_tf.load(run).metadata["scores"]["miou"] == metrics["miou"]

    (run / "report.html").unlink()
    moved = camvid.rename(tmp_path / "moved")
    gone = asap("train", "--resume", run)
    assert gone.code == 2 and str(camvid) in gone.err
    resumed = asap("train", "--resume", run.rename(tmp_path / "copied"), "--data", moved)
    moved.rename(camvid)
    run = (tmp_path / "copied").rename(run)
    assert resumed.code == 0 and "mIoU" in resumed.out and (run / "report.html").exists()

    again = asap("train", recipe, "--data", camvid, "--out", run)
    assert again.code == 2 and "exists already" in again.err and "--resume" in again.err


@pytest.mark.parametrize(
    ("args", "code", "message"),
    [
        ([], 2, "give a RECIPE"),
        (["nonesuch"], 2, "nonesuch: no such recipe"),
        (["{recipe}"], 2, "no dataset: give --data"),
        (["{recipe}", "--data", "nowhere"], 2, "nowhere: no such folder"),
        (["{recipe}", "--data", "{camvid}", "--set", "train.epoch=3"], 2, "did you mean 'epochs'?"),
        (
            ["{recipe}", "--data", "{camvid}", "--set", "data.val_split=vla"],
            2,
            "did you mean 'val'",
        ),
        (
            ["{recipe}", "--data", "{camvid}", "--set", "train.batch_size=9"],
            2,
            "fewer than one batch",
        ),
        (["{recipe}", "--data", "{camvid}", "--set", "loss.class_weights=[1, 2]"], 2, "2 factors"),
        (
            ["{recipe}", "--data", "{camvid}", "--set", "model.weights=x.pth"],
            2,
            "no such file or run",
        ),
        (["--resume", "nowhere"], 2, "nowhere: not a run folder"),
        (["{recipe}", "--resume", "nowhere"], 2, "give a RECIPE, or --resume RUN with nothing but"),
        (["{recipe}", "--data", "{camvid}", "--out", "{recipe}"], 2, "exists already"),
        (["{recipe}", "--data", "{camvid}", "--out", "{recipe}/run"], 1, "cannot be written to"),
    ],
)
def test_mistakes_end_in_one_line(asap, recipe, camvid, tmp_path, args, code, message):
    places = {"recipe": recipe, "camvid": camvid}
    out = [] if "--out" in args or "--resume" in args else ["--out", tmp_path / "run"]
    if not args:
        out = []
    result = asap("train", *(arg.format(**places) for arg in args), *out)
    assert result.code == code
    errors = [line for line in result.err.splitlines() if line.startswith("Error: ")]
    assert len(errors) == 1 and message in errors[0]
    assert not (tmp_path / "run").exists()


def test_a_defect_in_the_data_is_named_before_any_work(asap, recipe, camvid, tmp_path):
    (camvid / "train" / "1.png").write_bytes(b"")
    (camvid / "valannot" / "0.png").unlink()
    result = asap("train", recipe, "--data", camvid, "--out", tmp_path / "run")
    assert result.code == 1
    assert "1.png: an empty file" in result.err and "asap-tf data check" in result.err
    assert not (tmp_path / "run").exists()


def test_weights_of_a_model_of_other_classes_are_listed_layer_by_layer(
    asap, recipe, camvid, tmp_path
):
    model = tmp_path / "model.keras"
    save_model(Tiny(11, (None, None, 3)), model, CLASSES, None)
    folder = tmp_path / "own"
    for part, mask in (("frames", "train"), ("masks", "trainannot")):
        (folder / part).mkdir(parents=True)
        for file in (camvid / mask).iterdir():
            labels = np.minimum(np.asarray(Image.open(file)), 2 if part == "masks" else 255)
            Image.fromarray(labels).save(folder / part / file.name)
    (folder / "dataset.yaml").write_text(
        "masks: index\n"
        "classes: [{name: a, color: [1, 0, 0]}, {name: b, color: [2, 0, 0]},"
        " {name: c, color: [3, 0, 0]}]\n"
        "splits: {train: {images: frames, masks: masks}, val: {images: frames, masks: masks}}\n"
    )
    run = tmp_path / "run"
    result = asap(
        "train", recipe, "--data", folder, "--set", f"model.weights={model}", "--out", run
    )
    assert result.code == 0, result.err
    line = next(line for line in result.out.splitlines() if line.startswith(f"{model}: "))
    assert "layers loaded; left as initialized: " in line
    fresh = line.rpartition(": ")[2].split(", ")
    assert {"logits_classes", "aux3_classes", "aux4_classes"} <= set(fresh)
    assert not any(name.startswith("backbone") for name in fresh)
    assert [c.name for c in asap_tf.load(run).classes] == ["a", "b", "c"]


def test_training_on_several_hosts_wants_jax(asap, monkeypatch):
    monkeypatch.delenv("KERAS_BACKEND", raising=False)
    result = asap("train", "camvid_resnet18", "--hosts", 2)
    assert result.code == 2 and "put KERAS_BACKEND=jax before it" in result.err
