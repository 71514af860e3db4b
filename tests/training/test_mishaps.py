from __future__ import annotations

import errno
import itertools
import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import asap_tf
from asap_tf.core.errors import AsapError, UsageError
from asap_tf.core.files import Unwritable
from asap_tf.training import callbacks, check_data
from asap_tf.training.results import write_results
from asap_tf.training.run_folder import RunFolder

pytestmark = pytest.mark.usefixtures("eager")


def test_a_loss_that_is_not_finite_names_step_rate_and_remedies(trainer, tiny_recipe, tmp_path):
    recipe = tiny_recipe(optimizer={"learning_rate": 1e30, "ema": None})
    with pytest.raises(AsapError, match=r"loss is (nan|inf) at step \d, learning rate .*Try a low"):
        trainer(tmp_path / "run", recipe).train()


def test_file_that_goes_bad_during_training_is_named(trainer, tiny_recipe, tmp_path):
    run = trainer(tmp_path / "run", tiny_recipe())

    def gone(pair):
        from asap_tf.data.images import read_image

        return read_image(Path("vanished.png"))

    run.task.sources = [replace(run.task.sources[0], read=gone)]
    with pytest.raises(AsapError, match=r"vanished.png: no such file; fix it, then resume it"):
        run.train()


def test_what_is_not_finite_after_the_last_step_of_an_epoch_is_never_saved(
    trainer, tiny_recipe, tmp_path, at_step
):
    run = trainer(tmp_path / "run", tiny_recipe())
    groups = (
        run.task.network.trainable_variables,
        run.task.network.non_trainable_variables,
        run.task.optimizer.variables,
    )
    for variables, value in itertools.product(groups, (np.nan, -np.inf)):

        def spoil(variable=variables[-1], value=value):
            variable.assign(np.full(variable.shape, value))

        run.callbacks = [at_step(4, after=spoil)]
        with pytest.raises(AsapError, match=r"is not finite after step 4; the run is kept"):
            run.train()
        assert run.state.step == 4
        kept = run.run.latest()
        assert kept.step == 2
        run.restore(kept)
    good = asap_tf.load(tmp_path / "run").network.model.get_weights()
    assert all(np.isfinite(w).all() for w in good)


def test_batches_of_ignored_pixels_only_teach_nothing_and_break_nothing(
    trainer, tiny_recipe, tmp_path
):
    run = trainer(tmp_path / "run", tiny_recipe(optimizer={"weight_decay": 0.0}))
    source = run.task.sources[0]
    before = [np.array(v) for v in run.task.network.trainable_variables]

    def ignored(pair):
        frame, mask = source.read(pair)
        return frame, np.full(mask.shape, 255, "uint8")

    run.task.sources = [replace(source, read=ignored)]
    run.train()
    assert {e["loss"] for e in run.run.read_log() if "loss" in e} == {0.0}
    for old, new in zip(before, run.task.network.trainable_variables, strict=True):
        np.testing.assert_array_equal(old, new)


def full_at(monkeypatch, name: str) -> None:
    """A disk that is full whenever a file of that name is about to appear."""
    replace = os.replace

    def full(source, target):
        if Path(target).name == name:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        replace(source, target)

    monkeypatch.setattr(os, "replace", full)


@pytest.mark.parametrize("name", ["00000004.npz", "model.keras"])
def test_a_full_disk_stops_a_training_that_resumes_to_the_same_end(
    trainer, tiny_recipe, tmp_path, monkeypatch, name, assert_same_end, whole_run
):
    seen, saved = {"00000004.npz": (4, 2), "model.keras": (2, 0)}[name]
    run = trainer(tmp_path / "run", tiny_recipe())
    hint = f"saved up to step {saved}: fix that" if saved else "there is no checkpoint yet"
    with monkeypatch.context() as patch:
        full_at(patch, name)
        with pytest.raises(Unwritable, match=rf"{name}: .*\(No space left on dev.*; {hint}"):
            run.train()
    assert run.state.step == seen
    again = trainer(tmp_path / "run", run.run.recipe)
    assert again.state.step == saved
    again.train()
    assert_same_end(whole_run, tmp_path / "run")
    asap_tf.load(tmp_path / "run")


def test_a_log_that_cannot_be_written_stops_a_training_that_saves_this_very_step(
    trainer, tiny_recipe, tmp_path, monkeypatch, at_step
):
    log = tmp_path / "run" / "log.jsonl"

    def spoil():
        monkeypatch.setattr(callbacks, "LOG_SECONDS", -1)
        log.unlink()
        log.mkdir()

    run = trainer(tmp_path / "run", tiny_recipe(), at_step(3, before=spoil))
    with pytest.raises(Unwritable, match=r"log.jsonl: .*\(Is a directory\); saved up to step 3: "):
        run.train()
    assert run.run.latest().step == 3


def test_a_run_folder_that_is_removed_is_made_again_and_nothing_is_lost(
    trainer, tiny_recipe, tmp_path, assert_same_end, at_step, whole_run
):
    remove = at_step(3, after=lambda: shutil.rmtree(tmp_path / "run"))
    run = trainer(tmp_path / "run", tiny_recipe(), remove)
    with pytest.raises(Unwritable, match=r"the run folder was removed.*saved up to step 4: "):
        run.train()
    trainer(tmp_path / "run", run.run.recipe).train()
    assert_same_end(whole_run, tmp_path / "run")
    asap_tf.load(tmp_path / "run")


def test_gradients_too_large_for_float16_end_a_training(trainer, tiny_recipe, tmp_path):
    recipe = tiny_recipe(
        loss={"class_weights": [1e15] * 11},
        train={"precision": "mixed_float16", "epochs": 20, "validate_every": 20},
    )
    with pytest.raises(
        AsapError, match=r"gradients overflow float16 at step 16, .*the run is kept"
    ):
        trainer(tmp_path / "run", recipe).train()
    assert RunFolder(tmp_path / "run").latest().step == 14


@pytest.mark.parametrize("cache", [False, True])
def test_damaged_and_vanished_files_are_skipped_and_listed(
    trainer, tiny_recipe, tiny_root, tmp_path, monkeypatch, caplog, cache
):
    root = tmp_path / "camvid"
    shutil.copytree(tiny_root, root)
    (root / "train" / "1.png").write_text("no image")
    data = {"root": str(root), "cache": cache}
    with pytest.raises(AsapError, match=r"train.1.png: "):
        check_data(tiny_recipe(data=data))

    recipe = tiny_recipe(data={**data, "skip_bad": True})
    run = trainer(tmp_path / "run", recipe)
    assert len(run.task.sources[0].pairs) == 4 and run.task.steps_per_epoch == 2
    assert [m.split(": ")[1] for m in caplog.messages if m.startswith("skipped: ")] == [
        str(root / "train" / "1.png")
    ]
    caplog.clear()
    masks = [root / "trainannot" / f"{i}.png" for i in (2, 3)]
    for mask in masks:
        mask.unlink()
    run.train()
    assert run.state.step == run.state.total_steps == 6
    assert run.task.skipped == set(masks)
    named = [r.getMessage().split(": ")[1] for r in caplog.records if r.name == "asap_tf"]
    assert sorted(named) == list(map(str, masks))

    (root / "train" / "0.png").unlink()
    with pytest.raises(UsageError, match="1 frames, fewer than one batch"):
        trainer(tmp_path / "none", recipe)


ODD_NAMES = (
    " spaces in it .png",
    "straße 東京.png",
    "two\nlines.png",
    os.fsdecode(b"latin-\xe9.png"),
    "<b>&%s{}'\\.png",
)


def test_odd_names_train_are_reported_and_named_in_one_line(
    trainer, tiny_recipe, tiny_root, tmp_path
):
    root = tmp_path / "camvid"
    shutil.copytree(tiny_root, root)
    for split, names in (("train", ODD_NAMES), ("val", ODD_NAMES[2:4])):
        for i, name in enumerate(names):
            for folder in (split, f"{split}annot"):
                (root / folder / f"{i}.png").rename(root / folder / name)
    recipe = tiny_recipe(data={"root": str(root)}, train={"epochs": 1})
    run = trainer(tmp_path / "run", recipe)
    run.train()
    write_results(run.run, run.task.datasets)
    assert r"best: two\nlines.png" in run.run.report.read_text("utf-8")

    again = trainer(tmp_path / "again", recipe)
    for name in ODD_NAMES:
        (root / "trainannot" / name).unlink()
    with pytest.raises(AsapError, match=r"no such file; fix it, then resume it with") as raised:
        again.train()
    str(raised.value).encode("utf-8")
    assert "\n" not in str(raised.value) and str(root) in str(raised.value)
