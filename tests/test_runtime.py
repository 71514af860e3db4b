from __future__ import annotations

import zipfile

import cv2
import keras
import numpy as np
import pytest

import asap_tf
from asap_tf.data.dataset import LabelClass
from asap_tf.errors import AsapError, UsageError
from asap_tf.runtime import Segmenter, save_model

CLASSES = tuple(LabelClass(f"c{i}", (10 * i, 0, 255), "things", i) for i in range(3))


@pytest.fixture(scope="module")
def model():
    return asap_tf.ASAPNet(3, (None, None, 3))


def frames(*shape):
    return np.random.default_rng(0).integers(0, 256, (*shape, 3)).astype("uint8")


def test_labels_at_the_frames_own_size_are_the_argmax_of_resized_logits(model):
    x = frames(2, 90, 130)
    resized = np.stack([cv2.resize(f, (128, 64)) for f in x])
    logits = np.stack([cv2.resize(y, (130, 90)) for y in np.asarray(model(resized))])
    labels = Segmenter(model, CLASSES, (64, 128)).predict(x)
    assert labels.dtype == np.uint8 and labels.shape == (2, 90, 130)
    assert (labels == logits.argmax(-1)).mean() > 0.999


def test_without_a_size_the_network_runs_at_the_nearest_multiple_of_32(model):
    x = frames(1, 90, 130)
    free, fixed = Segmenter(model, CLASSES), Segmenter(model, CLASSES, (96, 128))
    np.testing.assert_array_equal(free.predict(x), fixed.predict(x))


def test_probabilities_sum_to_one_and_agree_with_labels(model):
    x = frames(1, 64, 96)
    segmenter = Segmenter(model, CLASSES)
    probabilities = segmenter.probabilities(x)
    assert probabilities.shape == (1, 64, 96, 3)
    np.testing.assert_allclose(probabilities.sum(-1), 1, atol=1e-5)
    np.testing.assert_array_equal(probabilities.argmax(-1), segmenter.predict(x))
    assert segmenter.probabilities(x, (32, 32)).shape == (1, 64, 96, 3)


def test_file_carries_classes_size_and_metadata(model, tmp_path):
    path = tmp_path / "model.keras"
    save_model(model, path, CLASSES, (64, 96), scores={"miou": 0.5})
    for source in (path, tmp_path):
        segmenter = asap_tf.load(source)
        assert segmenter.classes == CLASSES
        assert segmenter.size == (64, 96)
        assert segmenter.metadata["scores"] == {"miou": 0.5}
        assert segmenter.metadata["versions"]["keras"] == keras.__version__
        np.testing.assert_array_equal(segmenter.palette[2], (20, 0, 255))
    x = frames(1, 64, 96)
    np.testing.assert_array_equal(segmenter.predict(x)[0], np.asarray(model(x))[0].argmax(-1))
    assert keras.models.load_model(path)(x).shape == (1, 64, 96, 3)


def test_failed_save_keeps_the_old_file(model, tmp_path, monkeypatch):
    path = tmp_path / "model.keras"
    path.write_text("old")
    with pytest.raises(TypeError):
        save_model(model, path, CLASSES, None, scores={"not": {1, 2}})
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


def test_file_saved_by_keras_alone_gets_numbered_classes(tmp_path):
    asap_tf.ASAPNet(4, (64, 96, 3), aux_heads=True).save(tmp_path / "m.keras")
    segmenter = asap_tf.load(tmp_path / "m.keras")
    assert [c.name for c in segmenter.classes] == ["class 0", "class 1", "class 2", "class 3"]
    assert len({c.color for c in segmenter.classes}) == 4
    assert segmenter.size == (64, 96)
    assert segmenter.predict(frames(1, 50, 50)).shape == (1, 50, 50)


@pytest.mark.parametrize(
    "bad", [np.zeros((4, 4, 3), "uint8"), np.zeros((1, 4, 4, 3)), np.zeros((1, 4, 4, 1), "uint8")]
)
def test_refuses_frames(model, bad):
    with pytest.raises(UsageError, match="frames must be uint8 RGB"):
        Segmenter(model, CLASSES).predict(bad)


def test_refuses_another_number_of_classes(model):
    with pytest.raises(UsageError, match="3 classes apart, but 2 are named"):
        Segmenter(model, CLASSES[:2])


def test_refuses_what_is_no_model(tmp_path):
    with pytest.raises(UsageError, match="no such model"):
        asap_tf.load(tmp_path / "absent.keras")
    with pytest.raises(UsageError, match="no model.keras in it"):
        asap_tf.load(tmp_path)
    other = tmp_path / "other.h5"
    other.write_bytes(b"x")
    with pytest.raises(UsageError, match="not a model"):
        asap_tf.load(other)
    broken = tmp_path / "broken.keras"
    broken.write_bytes(b"PK\x03\x04 but no more")
    with pytest.raises(AsapError, match="broken.keras: cannot be opened as a Keras model: damaged"):
        asap_tf.load(broken)
    foreign = tmp_path / "foreign.keras"
    inputs = keras.Input((4,))
    keras.Model(inputs, keras.layers.Dense(2)(inputs)).save(foreign)
    with pytest.raises(AsapError, match="foreign.keras: not a segmentation network"):
        asap_tf.load(foreign)


def test_damaged_metadata_is_named(tmp_path):
    path = tmp_path / "m.keras"
    asap_tf.ASAPNet(3, (None, None, 3)).save(path)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("asap_tf.json", "{")
    with pytest.raises(AsapError, match="m.keras: asap_tf.json in it is damaged"):
        asap_tf.load(path)


def test_import_registers_without_loading_keras():
    import subprocess
    import sys

    code = "import sys, asap_tf; sys.exit('keras' in sys.modules or 'tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        asap_tf.nothing  # noqa: B018
    assert set(asap_tf.__all__) <= set(dir(asap_tf))
