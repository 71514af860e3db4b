"""Trainings on several datasets, of other classes than the network's."""

from __future__ import annotations

import json
import signal

import numpy as np
import pytest
from PIL import Image

import asap_tf
from asap_tf.core.errors import Interrupted, UsageError
from asap_tf.inference.evaluate import evaluate
from asap_tf.training import check_data
from asap_tf.training.recipe import load_recipe, validate
from asap_tf.training.results import write_results
from asap_tf.training.run_folder import RunFolder

TABLE = {"upper": ["sky", "building", "pole"], "lower": ["road"]}


@pytest.fixture(scope="module")
def halves(tmp_path_factory):
    """Frames in two classes and one that the table leaves out; a single split, of two drives."""
    root = tmp_path_factory.mktemp("data") / "halves"
    rng = np.random.default_rng(1)
    for folder in ("frames", "masks"):
        (root / folder).mkdir(parents=True)
    for name in ("a_0", "a_1", "a_2", "b_0", "b_1"):
        frame = rng.integers(0, 256, (40, 50, 3), dtype=np.uint8)
        Image.fromarray(frame).save(root / "frames" / f"{name}.png")
        mask = rng.choice(np.uint8([0, 1, 2, 255]), (40, 50))
        Image.fromarray(mask).save(root / "masks" / f"{name}.png")
    classes = "".join(
        f"  - {{name: {name}, color: [{i}, 0, 0]}}\n"
        for i, name in enumerate(("upper", "lower", "other"))
    )
    (root / "dataset.yaml").write_text(
        f"masks: index\nclasses:\n{classes}splits:\n  train: {{images: frames, masks: masks}}\n"
    )
    return root


@pytest.fixture(scope="module")
def mixed(tiny_recipe, tiny_root, halves):
    def make(**sections):
        """`tiny_recipe` on two datasets: three steps of two frames an epoch."""
        further = {"root": str(halves), "table": TABLE, "holdout": "b_", "scale": 1.5, "share": 0.4}
        values = tiny_recipe(**sections).model_dump(mode="json")
        return validate({**values, "data": [{"root": str(tiny_root), "share": 0.6}, further]}, "x")

    return make


def test_recipe_of_several_datasets(mixed, tmp_path):
    recipe = mixed()
    file = tmp_path / "recipe.yaml"
    file.write_text(recipe.to_yaml())
    assert load_recipe(file) == recipe
    assert recipe.dataset_names[1] == "halves"
    changed = load_recipe(file, ["data.cache=true", "data.1.share=3"])
    assert [(d.cache, d.share) for d in changed.data] == [(True, 0.6), (True, 3.0)]
    with pytest.raises(UsageError, match=r"data.1.shre: no such field; did you mean 'share'"):
        load_recipe(file, ["data.1.shre=3"])
    with pytest.raises(UsageError, match="'2' is a field, not a section"):
        load_recipe(file, ["data.2.share=3"])
    with pytest.raises(UsageError, match=r"data.1.table='camvdi': .*did you mean 'camvid'"):
        load_recipe(file, ["data.1.table=camvdi"])
    below = load_recipe(file, ["data.0.root=a", "data.1.root=b/c"], tmp_path)
    assert [d.root for d in below.data] == [str(tmp_path / "a"), str(tmp_path / "b/c")]
    # Those that a run has recorded are absolute.
    moved = load_recipe(file, ["data.0.root=/then/a", "data.1.root=/then/c"], tmp_path)
    assert [d.root for d in moved.data] == [str(tmp_path / "a"), str(tmp_path / "c")]


def test_recipe_of_one_dataset_is_written_as_ever(tiny_recipe, tiny_root):
    dumped = tiny_recipe().model_dump(mode="json")
    assert dumped["data"]["root"] == str(tiny_root)
    assert validate(dumped, "x") == tiny_recipe()
    with pytest.raises(UsageError, match=r"^tiny: data.kynd: no such field; did you mean 'kind'.$"):
        tiny_recipe(data={"kynd": "camvid"})
    with pytest.raises(UsageError, match="data=.*at least one dataset"):
        validate({**dumped, "data": []}, "x")
    with pytest.raises(UsageError, match=r"data.0.table: "):
        check_data(tiny_recipe(data={"table": "camvid"}))


def test_masks_become_labels_of_classes_and_groups(trainer, mixed, tmp_path):
    task = trainer(tmp_path / "run", mixed()).task
    first, second = task.sources
    assert (len(first.pairs), len(second.pairs), task.steps_per_epoch) == (5, 3, 4)
    pair = second.pairs[0]
    raw = np.asarray(Image.open(pair.mask))
    meant = {0: 11, 1: 3, 2: 255, 255: 255}
    assert second.read(pair)[1].tolist() == [[meant[v] for v in row] for row in raw.tolist()]
    _, labels = next(iter(task.batches(0, 1)))
    for loss in task.model.loss.values():
        assert loss.groups == [[0, 1, 2]]
    assert {*np.unique(labels["logits"])} <= {*range(12), 255}


@pytest.fixture(scope="module")
def whole(trainer, mixed, tmp_path_factory):
    """A training on both datasets, at its end."""
    run = tmp_path_factory.mktemp("run") / "whole"
    training = trainer(run, mixed(train={"epochs": 2, "validate_every": 2}))
    training.train()
    return training


def test_stopped_and_resumed_equals_uninterrupted(trainer, whole, tmp_path, at_step, capsys):
    stop = at_step(3, after=lambda: signal.raise_signal(signal.SIGTERM))
    with pytest.raises(Interrupted):
        trainer(tmp_path / "run", whole.recipe, stop).train()
    run = RunFolder(tmp_path / "run")
    trainer(run.path, run.recipe).train()
    assert "val mIoU" in (out := capsys.readouterr().out) and "halves " in out
    expected, resumed = whole.run.latest(), run.latest()
    assert expected.step == resumed.step == 8
    for name, value in expected.arrays.items():
        np.testing.assert_array_equal(value, resumed.arrays[name], err_msg=name)


def test_every_dataset_has_its_scores(whole):
    run, datasets = whole.run, whole.task.datasets
    alone = evaluate(asap_tf.load(run.path), datasets[1], table=TABLE)
    assert {frame.pair.image.name[:2] for frame in alone.frames} == {"b_"}
    (entry,) = (e for e in run.read_log() if "val_miou" in e)
    assert entry["val_halves_miou"] == alone.scores.miou
    assert entry["val_halves_pixel_accuracy"] == alone.scores.pixel_accuracy
    assert entry["val_miou"] == run.latest().best_miou
    evaluations = write_results(run, datasets)
    metrics = json.loads(run.metrics.read_text())
    assert [e.scores.miou for e in evaluations] == [entry["val_miou"], entry["val_halves_miou"]]
    assert metrics["datasets"]["halves"]["miou"] == alone.scores.miou
    assert metrics["datasets"]["halves"]["compared"] == TABLE
    page = run.report.read_text()
    assert "Validation mIoU, halves" in page and "sky, building, pole" in page


def test_classes_without_a_name_in_common(mixed, trainer, tmp_path):
    recipe = mixed()
    without = [recipe.data[0], recipe.data[1].model_copy(update={"table": None})]
    with pytest.raises(UsageError, match="no class of the data"):
        trainer(tmp_path / "run", recipe.model_copy(update={"data": tuple(without)}))


def test_classes_are_pasted_by_the_names_of_their_dataset(mixed, trainer, tmp_path):
    first, second = mixed().data

    def task(*names):
        data = (first, second.model_copy(update={"paste": names}))
        return trainer(tmp_path / "run", mixed().model_copy(update={"data": data})).task

    plain, pasting = task().sources, task("upper").sources
    assert [source.paste for source in (*plain, pasting[0])] == [None] * 3
    drawn = (pasting[1].paste(np.random.default_rng(i)) for i in range(20))
    labels = {*np.unique([pair[1] for pair in drawn if pair is not None])}
    # The only group of classes comes after the eleven.
    assert labels == {11, 255}
    with pytest.raises(UsageError, match="data.paste: 'other' is not learned; did you mean"):
        task("other")
