from __future__ import annotations

import zipfile

import keras
import numpy as np
import pytest

import asap_tf
from asap_tf.core.errors import AsapError, UsageError
from asap_tf.core.labels import LabelClass
from asap_tf.saving import save_model
from support.tiny import Tiny

CLASSES = tuple(LabelClass(f"c{i}", (10 * i, 0, 255), "things", i) for i in range(5))


@pytest.fixture(scope="module")
def tiny():
    return Tiny(5, (None, None, 3))


def test_file_carries_classes_size_and_metadata(tiny, tmp_path):
    path = tmp_path / "model.keras"
    save_model(tiny, path, CLASSES, (64, 96), scores={"miou": 0.5})
    for source in (path, tmp_path):
        segmenter = asap_tf.load(source)
        assert segmenter.classes == CLASSES
        assert segmenter.size == (64, 96)
        assert segmenter.metadata["scores"] == {"miou": 0.5}
        assert segmenter.metadata["versions"]["keras"] == keras.__version__
        np.testing.assert_array_equal(segmenter.palette[2], (20, 0, 255))
    x = np.random.default_rng(0).integers(0, 256, (1, 64, 96, 3), np.uint8)
    np.testing.assert_array_equal(segmenter.predict(x)[0], np.asarray(tiny(x))[0].argmax(-1))
    assert keras.models.load_model(path)(x).shape == (1, 64, 96, 5)


def test_failed_save_keeps_the_old_file(tiny, tmp_path):
    path = tmp_path / "model.keras"
    path.write_text("old")
    with pytest.raises(TypeError):
        save_model(tiny, path, CLASSES, None, scores={"not": {1, 2}})
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


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


def test_damaged_weights_reach_no_parser(tiny, tmp_path, monkeypatch):
    path = tmp_path / "m.keras"
    save_model(tiny, path, CLASSES, None)
    with zipfile.ZipFile(path) as archive:
        weights = archive.getinfo("model.weights.h5")
    content = bytearray(path.read_bytes())
    content[weights.header_offset + weights.file_size // 2] ^= 1
    path.write_bytes(content)
    monkeypatch.setattr(keras.models, "load_model", None)
    with pytest.raises(AsapError, match="m.keras: .* model.weights.h5 in it is damaged"):
        asap_tf.load(path)


def test_damaged_metadata_is_named(tiny, tmp_path):
    path = tmp_path / "m.keras"
    tiny.save(path)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("asap_tf.json", "{")
    with pytest.raises(AsapError, match="m.keras: asap_tf.json in it is damaged"):
        asap_tf.load(path)
