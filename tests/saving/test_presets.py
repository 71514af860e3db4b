from __future__ import annotations

import io
import json
import re
import zipfile
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest

import asap_tf
from asap_tf.core.errors import UsageError
from asap_tf.data.camvid import CLASSES
from asap_tf.runtime import load
from asap_tf.saving import METADATA_NAME, fingerprint, load_weights, presets, save_model
from asap_tf.saving.presets.writing import WEIGHTS_NAME, without_folders, write_preset

STREET_SCORES = Path(__file__).parents[2] / "docs" / "street_scores.json"


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """A run's model, of weights and statistics such as training leaves them."""
    model = asap_tf.ASAPNet(11, (None, None, 3), width=0.25)
    rng = np.random.default_rng(0)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            gamma, beta, mean, _ = (rng.uniform(0.5, 1.5, w.shape) for w in layer.weights)
            layer.set_weights([gamma, beta, mean, rng.uniform(1e-9, 1e6, mean.shape)])
    file = tmp_path_factory.mktemp("run") / "model.keras"
    recipe = {"data": {"root": "/home/me/camvid", "kind": "camvid"}}
    distill = {"teacher": "/home/me/teacher", "frames": ["/home/me/frames"]}
    save_model(model, file, CLASSES, (64, 96), recipe={**recipe, "distill": distill})
    return file


@pytest.fixture
def shipped(source, tmp_path, monkeypatch):
    """A preset named `small`."""
    write_preset(source, tmp_path / "small.keras")
    monkeypatch.setattr(presets, "FOLDER", tmp_path)
    return tmp_path / "small.keras"


def arrays(file):
    found = {}
    with zipfile.ZipFile(file) as archive, h5py.File(io.BytesIO(archive.read(WEIGHTS_NAME))) as h5:
        h5.visititems(
            lambda name, item: found.update({name: item[()]}) if hasattr(item, "dtype") else None
        )
    return found


def test_kernels_are_halved_and_statistics_kept(source, shipped):
    whole, half = arrays(source), arrays(shipped)
    assert whole.keys() == half.keys()
    for name, array in whole.items():
        if array.ndim > 1:
            assert half[name].dtype == np.float16
            np.testing.assert_allclose(half[name], array, rtol=1e-3, atol=1e-7)
        else:
            np.testing.assert_array_equal(half[name], array)
    assert shipped.stat().st_size < 0.55 * source.stat().st_size


def test_the_recipe_names_no_folder_of_the_machine_it_ran_on(source, shipped):
    recipe = load("small").metadata["recipe"]
    assert recipe["data"] == {"root": None, "kind": "camvid"}
    assert recipe["distill"] == {"teacher": "teacher", "frames": []}
    assert b"/home/me" in zipfile.ZipFile(source).read(METADATA_NAME)


def test_the_recipe_of_several_datasets_names_no_folder_either():
    recipe = {"data": [{"root": "/home/me/a", "share": 0.5}, {"root": "/home/me/b"}]}
    written = json.loads(without_folders(json.dumps({"recipe": recipe}).encode()))
    assert written["recipe"]["data"] == [{"root": None, "share": 0.5}, {"root": None}]


def test_a_presets_name_stands_for_a_model(source, shipped):
    frames = np.random.default_rng(1).integers(0, 256, (2, 64, 96, 3), "uint8")
    segmenter = load("small")
    assert [c.name for c in segmenter.classes] == [c.name for c in CLASSES]
    assert (segmenter.predict(frames) == load(source).predict(frames)).mean() > 0.99

    model = asap_tf.from_preset("small")
    assert {w.dtype for w in model.weights if "seed" not in w.path} == {"float32"}
    np.testing.assert_array_equal(model(frames).numpy().argmax(-1), segmenter.predict(frames))

    other = asap_tf.ASAPNet(3, (64, 96, 3), width=0.25)
    assert load_weights(other, "small").fresh == ("logits_classes",)


def test_what_is_there_goes_before_a_preset(source, shipped, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "small").mkdir()
    with pytest.raises(UsageError, match=r"small: no model.keras in it"):
        load("small")


def test_a_mistyped_name(shipped):
    with pytest.raises(UsageError, match="no preset 'smal'; did you mean 'small'"):
        asap_tf.from_preset("smal")
    with pytest.raises(UsageError, match=r"smal: no such model; .* or a preset"):
        load("smal")


@pytest.mark.parametrize("name", [n for n in presets.preset_files() if n.endswith("_street")])
def test_a_card_has_the_scores_of_these_weights(name):
    file = presets.preset_files()[name]
    known = json.loads(STREET_SCORES.read_text(encoding="utf-8"))[name]
    assert known["sha256"] == fingerprint(file), "score it by benchmarks/street_scores.py"
    card = " ".join(file.with_suffix(".md").read_text(encoding="utf-8").split())
    scores = {
        "cityscapes256 768": r"([\d.]+) mIoU on Cityscapes' validation frames",
        "cityscapes256 512": r"([\d.]+) at (?:256 x )?512;",
        "camvid 768": r"([\d.]+) over CamVid's 11 classes",
        "idd_lite 512": r"([\d.]+) over IDD-Lite's 7 groups",
    }
    said = {key: float(re.search(pattern, card)[1]) / 100 for key, pattern in scores.items()}
    # To a digit, which another machine may round up.
    assert said == pytest.approx({key: known["scores"][key]["miou"] for key in scores}, abs=0.0011)
    by_class = re.search(r"\*\*By class\*\* \(Cityscapes, at 512\): (.*?)\. -", card)[1]
    said = {k: float(v) / 100 for k, v in (part.rsplit(" ", 1) for part in by_class.split(", "))}
    assert said == pytest.approx(known["scores"]["cityscapes256 512"]["iou"], abs=0.0011)
