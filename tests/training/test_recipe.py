from __future__ import annotations

from typing import Literal

import pytest

from asap_tf.core.errors import UsageError
from asap_tf.models.registry import BUILDERS, list_models, options_of
from asap_tf.training.recipe import load_recipe, shipped_recipes

MINIMAL = "name: x\naugment: {crop: [64, 96]}\n"


@pytest.fixture
def recipe(tmp_path):
    def write(text):
        path = tmp_path / "r.yaml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


def test_defaults_are_the_papers(recipe):
    r = load_recipe(recipe(MINIMAL))
    assert (r.optimizer.name, r.optimizer.momentum, r.optimizer.weight_decay) == ("sgd", 0.9, 1e-4)
    assert r.train.batch_size == 4
    assert r.augment.scales == (0.75, 1.0, 1.5, 1.75, 2.0)
    assert (r.loss.threshold, r.loss.min_kept, r.loss.aux3, r.loss.aux4) == (0.7, 1 / 16, 1, 1)


def test_resolved_text_gives_the_same_recipe(recipe):
    r = load_recipe(recipe(MINIMAL))
    assert load_recipe(recipe(r.to_yaml())) == r


@pytest.mark.parametrize("file", shipped_recipes(), ids=lambda f: f.name)
def test_shipped_recipes_are_valid_and_open_with_result_and_command(file):
    text = file.read_text(encoding="utf-8")
    name = file.name.removesuffix(".yaml")
    assert load_recipe(name).name == name
    head = [line for line in text.splitlines() if line.startswith("#")]
    assert head[0].startswith("# Expected: ")
    commands = (f"asap-tf train recipes/{name}.yaml", "asap-tf reproduce table2")
    assert any(line.startswith(f"# Command:  {c}") for line in head for c in commands)


def test_all_errors_at_once_with_field_value_and_nearest_name(recipe):
    path = recipe(
        """
name: x
augment: {crop: [100, 96], flp: true}
model: {fusion: fdn}
optimizer: {name: adam, learning_rate: -1}
trian: {epochs: 3}
"""
    )
    with pytest.raises(UsageError) as caught:
        load_recipe(path)
    message = str(caught.value)
    assert "\n" not in message
    for part in (
        f"{path}: ",
        "augment.crop.0=100: input should be a multiple of 32",
        "augment.flp: no such field; did you mean 'flip'?",
        "model.fusion='fdn': did you mean 'ffdn'?",
        "optimizer.name='adam': did you mean 'adamw'?",
        "optimizer.learning_rate=-1: input should be greater than 0",
        "trian: no such field; did you mean 'train'?",
    ):
        assert part in message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name: x", "augment: missing"),
        ("- a", "a recipe is a mapping of sections, got list"),
        ("name: [", "cannot be read as YAML"),
        (MINIMAL + "since: 2026-13-01", "cannot be read as YAML: month must be in 1..12"),
        (MINIMAL + "train: {epochs: .nan}", "train.epochs=nan"),
        (MINIMAL + "loss: {class_weights: blanced}", "weights='blanced': did you mean 'balanced'"),
        (MINIMAL + "loss: {class_weights: [1, -1]}", "loss.class_weights.1=-1: input should be gr"),
        (MINIMAL + "optimizer: {learning_rate: .inf}", "optimizer.learning_rate=inf"),
        (MINIMAL + "x: !!python/object/apply:os.system [echo]", "cannot be read as YAML"),
    ],
)
def test_refuses(recipe, text, message):
    with pytest.raises(UsageError, match=message):
        load_recipe(recipe(text))


def test_overrides(recipe):
    path = recipe(MINIMAL)
    r = load_recipe(path, ["train.epochs=7", "augment.crop=[32, 64]", "optimizer.ema=0.99"])
    assert (r.train.epochs, r.augment.crop, r.optimizer.ema) == (7, (32, 64), 0.99)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("epochs", "want section.field=value"),
        ("train.epoch=3", "train.epoch: no such field; did you mean 'epochs'?"),
        ("name.first=3", "'name' is a field, not a section"),
        ("train.epochs=[", "value is not YAML"),
        ("train.epochs=2026-13-01", "value is not YAML: month must be in 1..12"),
    ],
)
def test_refuses_overrides(recipe, override, message):
    with pytest.raises(UsageError, match=message):
        load_recipe(recipe(MINIMAL), [override])


def test_unknown_recipe_names_the_nearest():
    with pytest.raises(UsageError, match="no such recipe; did you mean 'camvid_resnet18'"):
        load_recipe("camvid_resnet81")
    with pytest.raises(UsageError, match="aa: no such recipe"):
        load_recipe("a" * 5000)


@pytest.mark.parametrize("file", shipped_recipes(), ids=lambda f: f.name)
def test_every_recipe_takes_every_network_unless_it_is_for_an_option_of_one(file):
    model = load_recipe(file).model
    defaults = {name: default for name, (_, default) in options_of(model.name).items()}
    if model.options() != defaults:
        with pytest.raises(UsageError, match=r"model\..*: no such field; valid: name, weights"):
            load_recipe(file, ["model.name=pidnet_s"])
        return
    for name in list_models():
        recipe = load_recipe(file, [f"model.name={name}"])
        assert recipe.model.name == name
        assert (recipe.model.weights == "imagenet") <= (name == "asap")


def test_options_are_those_of_the_builders_signature(recipe, monkeypatch):
    def wide(num_classes, weights, side: Literal["left", "right"] = "left", depth: int = 3):
        raise NotImplementedError

    monkeypatch.setitem(BUILDERS, "wide", wide)
    path = recipe(MINIMAL + "model: {name: wide, depth: 4}")
    assert load_recipe(path).model.options() == {"side": "left", "depth": 4}
    with pytest.raises(UsageError) as caught:
        load_recipe(path, ["model.side=rihgt", "model.depth=many", "model.dept=2"])
    for part in (
        "model.side='rihgt': did you mean 'right'?",
        "model.depth='many': input should be a valid integer",
        "model.dept: no such field; did you mean 'depth'?",
    ):
        assert part in str(caught.value)


def test_an_unknown_network_names_the_nearest(recipe):
    with pytest.raises(UsageError, match=r"model.name='stdc3': did you mean 'stdc\d'\?"):
        load_recipe(recipe(MINIMAL), ["model.name=stdc3"])


def test_a_rivals_recipe_that_spells_out_asaps_options(recipe):
    asaps = "backbone: resnet18, width: 1.0, fusion: ffdn, attention: vertical, fuse_stride: 8"
    path = recipe(MINIMAL + f"model: {{name: pidnet_s, weights: null, {asaps}}}")
    assert load_recipe(path).model.options() == {}
    with pytest.raises(UsageError, match="model.fuse_stride: no such field"):
        load_recipe(path, ["model.fuse_stride=4"])


def test_a_recipe_takes_from_its_base_what_it_does_not_give(recipe, tmp_path):
    own = "name: own\naugment: {crop: [32, 64], hue: 0.1, flip: false}"
    (tmp_path / "own.yaml").write_text(own)
    own = load_recipe(recipe("name: x\nbase: own.yaml\naugment: {hue: 0.2}\ntrain: {epochs: 3}"))
    assert (own.name, own.train.epochs) == ("x", 3)
    assert (own.augment.crop, own.augment.hue, own.augment.flip) == ((32, 64), 0.2, False)
    full, half = load_recipe("camvid_resnet18"), load_recipe("camvid_resnet18_half")
    assert half.model.options() == {**full.model.options(), "width": 0.5}
    assert (half.augment, half.loss, half.optimizer) == (full.augment, full.loss, full.optimizer)
    for text, message in (
        ("base: camvid_resnet81", "base=camvid_resnet81: .*did you mean 'camvid_resnet18'"),
        ("base: camvid_lite0", "base=camvid_lite0: has a base itself"),
        ("base: [", "cannot be read as YAML"),
    ):
        path = recipe(text)
        with pytest.raises(UsageError, match=f"{path}: {message}"):
            load_recipe(path)


def test_fields_of_earlier_versions_are_read(recipe):
    old = MINIMAL + "data: {leave_out: 0001TP, cache: true}\ntrain: {unwritable: go_on, epochs: 3}"
    now = MINIMAL + "data: {holdout: 0001TP, cache: true}\ntrain: {epochs: 3}"
    assert load_recipe(recipe(old)) == load_recipe(recipe(now))
    changed = load_recipe(recipe(now), ["data.leave_out=0016E5", "train.unwritable=stop"])
    assert changed.data[0].holdout == "0016E5"
