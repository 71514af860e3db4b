from __future__ import annotations

import math
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest

import asap_tf
from asap_tf.core.errors import AsapError, Interrupted, UsageError
from asap_tf.models.registry import BUILDERS
from asap_tf.saving import save_model
from asap_tf.training import check_data
from asap_tf.training.run_folder import RunFolder
from asap_tf.training.task import resolve_class_weights
from support.tiny import Tiny, tiny_as_asap

WEIGHTS = {"logits": 1.0, "aux3": 0.5, "aux4": 2.0}


@pytest.mark.usefixtures("eager")
def test_stopped_within_an_epoch_and_resumed_equals_uninterrupted(
    trainer, tiny_recipe, tmp_path, assert_same_end, at_step
):
    start = tmp_path / "start.keras"
    Tiny(11, (32, 64, 3)).save(start)
    recipe = tiny_recipe(
        model={"weights": str(start)},
        optimizer={"name": "adamw", "learning_rate": 1e-3, "warmup_steps": 3, "clip_norm": 1.0},
        train={"precision": "mixed_float16", "epochs": 1},
    )
    trainer(tmp_path / "whole", recipe).train()
    terminate = at_step(1, after=lambda: signal.raise_signal(signal.SIGTERM))
    with pytest.raises(Interrupted, match=r"stopped at step 1 of 2.*--resume") as stopped:
        trainer(tmp_path / "halved", recipe, terminate).train()
    assert stopped.value.signal_number == signal.SIGTERM
    run = RunFolder(tmp_path / "halved")
    assert run.recipe == recipe
    start.unlink()  # needed once only
    keras.utils.set_random_seed(99)  # what a new process would have
    trainer(run.path, run.recipe).train()
    assert_same_end(tmp_path / "whole", run.path)
    assert [e["step"] for e in run.read_log() if "val_miou" in e] == [2]


KILLED = """
import os, signal, sys
from pathlib import Path
import tensorflow as tf
from keras.callbacks import LambdaCallback
import support.tiny
from asap_tf.training import check_data
from asap_tf.training.recipe import load_recipe
from asap_tf.training.run_folder import RunFolder
from asap_tf.training.trainer import Trainer
tf.config.run_functions_eagerly(True)
def kill(batch, logs):
    if trainer.state.step == 3:
        os.kill(os.getpid(), signal.SIGKILL)
recipe, callback = load_recipe(sys.argv[1]), LambdaCallback(on_train_batch_end=kill)
trainer = Trainer(RunFolder(Path(sys.argv[2])), recipe, check_data(recipe), callbacks=[callback])
trainer.train()
"""


@pytest.mark.usefixtures("eager")
def test_killed_within_an_epoch_and_resumed_equals_uninterrupted(
    trainer, tiny_recipe, tmp_path, monkeypatch, assert_same_end, whole_run
):
    file, run = tmp_path / "recipe.yaml", tmp_path / "killed"
    file.write_text(tiny_recipe().to_yaml())
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[1]), prepend=os.pathsep)
    died = subprocess.run([sys.executable, "-c", KILLED, file, run])
    assert died.returncode == -signal.SIGKILL
    assert RunFolder(run).latest().step == 2
    trainer(run, RunFolder(run).recipe).train()
    assert_same_end(whole_run, run)
    assert list((run / "tensorboard").iterdir())
    assert asap_tf.load(run).classes[0].name == "sky"


@pytest.mark.usefixtures("eager")
def test_validation_and_model_file_use_the_averages(trainer, tiny_recipe, tmp_path, at_step):
    t = trainer(tmp_path / "run", tiny_recipe(optimizer={"ema": 0.5}, train={"epochs": 1}))
    kernel = t.task.model.get_layer("backbone1_conv").kernel
    seen = []
    t.callbacks = [at_step(1, after=lambda: seen.append(np.array(kernel)))]
    t.train()
    first, last = seen[0], np.array(kernel)
    deployed = np.array(t.task.eval_model.get_layer("backbone1_conv").kernel)
    np.testing.assert_allclose(deployed, (first + last) / 2, atol=1e-6)
    assert np.abs(deployed - last).max() > 1e-5
    saved = asap_tf.load(t.run.path).network.model.get_layer("backbone1_conv").kernel
    np.testing.assert_array_equal(saved, deployed)


def test_total_loss_is_that_of_the_output_plus_alpha_and_beta_times_the_heads(
    trainer, tiny_recipe, tmp_path
):
    t = trainer(tmp_path / "run", tiny_recipe(loss={"aux3": 0.5, "aux4": 2.0}))
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 256, (2, 32, 64, 3)).astype("uint8")
    labels = rng.integers(0, 11, (2, 32, 64)).astype("uint8")
    truth = dict.fromkeys(t.task.model.output, labels)
    total = t.task.model.evaluate(frames, truth, verbose=0, return_dict=True)["loss"]
    ohem, outputs = asap_tf.OhemCrossEntropy(), t.task.model(frames, training=False)
    expected = [w * float(ohem(labels, outputs[name])) for name, w in WEIGHTS.items()]
    np.testing.assert_allclose(total, sum(expected), rtol=1e-4)


def test_auxiliary_heads_of_a_stride_answer_for_the_middles(trainer, tiny_recipe, tmp_path):
    t = trainer(tmp_path / "run", tiny_recipe(loss={"aux_stride": 4}, train={"epochs": 1}))
    frames, labels = next(iter(t.task.batches(0, 1)))
    outputs, whole = (m(frames, training=False) for m in (t.task.model, t.task.network))
    np.testing.assert_allclose(outputs["logits"], whole["logits"], rtol=1e-5)
    for name in ("aux3", "aux4"):
        np.testing.assert_array_equal(labels[name], labels["logits"][:, 2::4, 2::4])
        corners = [whole[name][:, y::4, x::4] for y in (1, 2) for x in (1, 2)]
        np.testing.assert_allclose(outputs[name], np.mean(corners, 0), rtol=1e-4, atol=1e-5)
    before = {v.path: np.array(v) for v in t.task.network.trainable_variables}
    t.train()
    assert all((before[v.path] != v).any() for v in t.task.network.trainable_variables)


def test_data_is_read_from_end_to_end_before_training(tiny_recipe, tmp_path, tiny_root):
    root = tmp_path / "broken"
    shutil.copytree(tiny_root, root)
    (root / "train" / "0.png").write_bytes(b"")
    (root / "train" / "1.png").unlink()
    recipe = tiny_recipe(data={"root": str(root)})
    with pytest.raises(AsapError, match=r"0.png: an empty file.*and 1 more.*data check"):
        check_data(recipe)
    with pytest.raises(UsageError, match="no dataset"):
        check_data(tiny_recipe(data={"root": None}))
    assert check_data(tiny_recipe())[0].counts == {"train": 5, "val": 2}


def test_heads_of_other_weights_are_matched_by_the_names_of_classes(
    trainer, tiny_recipe, tiny_root, tmp_path, caplog
):
    classes = asap_tf.open_dataset(tiny_root).classes
    known = Tiny(11, (None, None, 3))
    kernel = np.arange(known.get_layer("logits_classes").kernel.shape[2] * 11.0).reshape(
        1, 1, -1, 11
    )
    known.get_layer("logits_classes").set_weights([kernel, np.arange(11)])
    others = [replace(classes[0], name="water"), *classes[:0:-1]]
    save_model(known, tmp_path / "known.keras", others, None)
    with caplog.at_level("INFO", "asap_tf"):
        run = trainer(
            tmp_path / "run", tiny_recipe(model={"weights": str(tmp_path / "known.keras")})
        )
    head = run.task.network.get_layer("logits_classes")
    np.testing.assert_array_equal(head.kernel[..., 1:], kernel[..., :0:-1])
    np.testing.assert_array_equal(head.bias, [0, *range(10, 0, -1)])
    assert not np.isin(kernel[..., 0], head.kernel).any()
    assert "10 classes taken by their names; left as initialized: sky" in caplog.text


def test_class_weights():
    assert resolve_class_weights(None, np.array([1, 2])) is None
    assert resolve_class_weights((1.0, 2.0), np.array([1, 2])) == [1, 2]
    rare, common = resolve_class_weights("balanced", np.array([10, 90]))
    assert math.isclose((rare + common) / 2, 1)
    assert math.isclose(rare / common, math.log(2.0) / math.log(1.2))
    assert resolve_class_weights("balanced", np.array([10, 0, 90])) == [rare, 1, common]
    with pytest.raises(UsageError, match="3 factors, but the dataset has 2 classes"):
        resolve_class_weights((1.0, 1.0, 1.0), np.array([1, 2]))


HOST = Path(__file__).parents[1] / "support" / "host_process.py"


def total_loss(log) -> float:
    """Of all steps; how many a line is about depends on how fast they were."""
    lines = [e for e in log if "loss" in e]
    before = [0, *(e["step"] for e in lines)]
    return sum(e["loss"] * (e["step"] - b) for e, b in zip(lines, before, strict=False))


@pytest.mark.stress
def test_two_devices_end_with_what_one_does(trainer, tiny_recipe, tmp_path, monkeypatch):
    monkeypatch.setitem(BUILDERS, "asap", tiny_as_asap())
    recipe = tiny_recipe(
        model={"name": "asap"},
        optimizer={"learning_rate": 1e-3, "clip_norm": 1.0},
        train={"epochs": 2},
    )
    trainer(tmp_path / "one", recipe).train()
    (tmp_path / "recipe.yaml").write_text(recipe.to_yaml())
    done = subprocess.run(
        [sys.executable, HOST, "train", tmp_path / "recipe.yaml", "--out", tmp_path / "two"],
        capture_output=True,
        text=True,
        env={**os.environ, "DEVICES": "2"},
    )
    assert done.returncode == 0, done.stderr[-2000:]
    one, two = (RunFolder(tmp_path / name).latest() for name in ("one", "two"))
    assert one.step == two.step == 4
    for name, value in one.arrays.items():
        np.testing.assert_allclose(two.arrays[name], value, atol=1e-4, err_msg=name)
    losses = [total_loss(RunFolder(tmp_path / name).read_log()) for name in ("one", "two")]
    np.testing.assert_allclose(*losses, rtol=1e-4)
