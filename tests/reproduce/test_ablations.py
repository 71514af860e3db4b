from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from asap_tf.core.errors import AsapError, UsageError
from asap_tf.reproduce import ablations
from asap_tf.reproduce.ablations import FUSIONS, MODULES, budget, finished_rows, train_rows

SMALL = (
    "augment.crop=[32, 64]",
    "eval.size=[32, 64]",
    "train.epochs=1",
    "train.batch_size=4",
    "model.weights=null",
)
NONE = FUSIONS[0]


@pytest.fixture(scope="module")
def trained(streets_root, tmp_path_factory):
    """One variant, trained for two steps: its recipe, folder, and rows."""
    folder = tmp_path_factory.mktemp("ablations")
    recipe, _ = budget(streets_root, SMALL, folder)
    rows = []
    train_rows([NONE], 1, recipe, folder, rows.append)
    return recipe, folder, rows


def test_a_row_is_what_its_run_scored(trained):
    _, folder, rows = trained
    (row,) = finished_rows(FUSIONS, folder)
    assert rows == [row]
    assert (row.variant, row.seed, row.steps) == ("norms_none", 0, 2)
    metrics = json.loads((folder / "norms_none-0" / "metrics.json").read_text())
    assert (row.miou, row.iou) == (metrics["miou"], metrics["iou"])
    assert "fusion: none" in (folder / "norms_none-0" / "recipe.yaml").read_text()


def test_what_is_trained_is_not_trained_again(trained, monkeypatch):
    recipe, folder, rows = trained
    monkeypatch.setattr(ablations, "train", None)
    again = []
    train_rows([NONE], 1, recipe, folder, again.append)
    assert again == rows


def test_what_is_unfinished_is_resumed(trained):
    recipe, folder, rows = trained
    (folder / "norms_none-0" / "metrics.json").unlink()
    assert finished_rows(FUSIONS, folder) == []
    again = []
    train_rows([NONE], 1, recipe, folder, again.append)
    assert again[0].miou == rows[0].miou and again[0].steps == 2


def test_another_budget_is_refused(trained, streets_root):
    _, folder, _ = trained
    recipe, _ = budget(streets_root, [*SMALL, "train.epochs=2"], folder)
    with pytest.raises(UsageError, match="norms_none-0: trained by another recipe"):
        train_rows([NONE], 1, recipe, folder, print)


@pytest.mark.parametrize(
    "damage",
    [
        lambda metrics: json.dumps(metrics)[:40],
        lambda metrics: "[]",
        lambda metrics: json.dumps({**metrics, "miou": "good"}),
        lambda metrics: json.dumps({"miou": metrics["miou"]}),
    ],
    ids=["truncated", "list", "text", "short"],
)
def test_a_damaged_row_is_named_and_a_copy_of_one_is_none(trained, tmp_path, damage):
    _, folder, rows = trained
    for name in ("norms_none-0", "norms_none-copy", "norms_none-0-1"):
        (tmp_path / name).mkdir()
        shutil.copy(folder / "norms_none-0" / "metrics.json", tmp_path / name)
    assert finished_rows(FUSIONS, tmp_path) == rows
    file = tmp_path / "norms_none-0" / "metrics.json"
    file.write_text(damage(json.loads(file.read_text())))
    with pytest.raises(AsapError, match=r"norms_none-0.metrics.json: damaged; remove it"):
        finished_rows(FUSIONS, tmp_path)


def test_an_empty_folder_is_trained_into_and_a_file_is_not(streets_root, tmp_path, monkeypatch):
    monkeypatch.setattr(ablations, "train", lambda *_: None)
    monkeypatch.setattr(ablations, "read_row", lambda *_: "scored")
    recipe, _ = budget(streets_root, SMALL, tmp_path)
    row = tmp_path / "norms_none-0"
    row.mkdir()
    rows = []
    train_rows([NONE], 1, recipe, tmp_path, rows.append)
    assert rows == ["scored"]
    row.rmdir()
    row.write_text("")
    with pytest.raises(UsageError, match="norms_none-0: not a run folder"):
        train_rows([NONE], 1, recipe, tmp_path, rows.append)
    with pytest.raises(UsageError, match="norms_none-0: is a file; `out` is the folder"):
        budget(streets_root, SMALL, row)


def test_seeds_are_the_outer_loop(streets_root, tmp_path, monkeypatch):
    trained = []
    monkeypatch.setattr(
        ablations, "train", lambda run, recipe, report: trained.append((run.path.name, recipe))
    )
    monkeypatch.setattr(ablations, "read_row", lambda run, variant, seed: None)
    recipe, _ = budget(streets_root, SMALL, tmp_path)
    train_rows(FUSIONS[:2], 2, recipe, tmp_path, lambda row: None)
    names = [name for name, _ in trained]
    assert names == ["norms_none-0", "norms_ln-0", "norms_none-1", "norms_ln-1"]
    assert [r.train.seed for _, r in trained] == [0, 0, 1, 1]
    assert [r.model.fusion for _, r in trained] == ["none", "ln"] * 2


def test_without_data_streets_are_rendered_when_first_needed(tmp_path, monkeypatch):
    monkeypatch.setattr(ablations, "STREETS", {"train": 2, "val": 1})
    monkeypatch.setattr(ablations, "train", lambda *_: None)
    monkeypatch.setattr(ablations, "read_row", lambda *_: None)
    recipe, folder = budget(None, [], tmp_path / "out")
    train_rows([NONE], 0, recipe, folder, print)
    assert not folder.exists()
    train_rows([NONE], 1, recipe, folder, lambda row: None)
    assert len(list((folder / "streets").rglob("*leftImg8bit.png"))) == 3


def test_a_recipe_in_place_of_the_kinds_own(streets_root, tmp_path):
    recipe, folder = budget(streets_root, ["model.width=0.5"], None, "cityscapes256")
    assert folder == Path("runs/cityscapes256")
    assert recipe.augment.crop == (256, 512) and recipe.model.width == 0.5
    assert recipe.data[0].root == str(streets_root)
    with pytest.raises(UsageError, match="nowhere"):
        budget(streets_root, [], tmp_path, "nowhere")


def test_every_variant_differs_from_asap_in_one_module():
    for variant in {*FUSIONS, *MODULES}:
        assert len(variant.options) == (variant.name != "asap")
    assert len({v.name for v in (*FUSIONS, *MODULES)}) == 8
