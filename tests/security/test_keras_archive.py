"""`.keras` files that take another door than the check, or ask for any amount of time or memory."""

from __future__ import annotations

import io
import json
import os
import shutil
import time
import zipfile

import h5py
import keras
import numpy as np
import pytest
from keras import layers

from asap_tf.core.errors import AsapError
from asap_tf.saving import load_keras_model


def saved(path, *stack):
    frames = keras.Input((32, 32, 3))
    x = frames
    for layer in stack or [layers.Conv2D(3, 1)]:
        x = layer(x)
    keras.Model(frames, x).save(path)
    return path


@pytest.fixture
def plain(tmp_path):
    return saved(tmp_path / "model.keras")


def rewritten(file, config=None, weights=None, compression=zipfile.ZIP_STORED):
    """Puts other content in a file: of the configuration what a function makes of it, or text."""
    with zipfile.ZipFile(file) as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    if callable(config):
        entries = json.loads(content["config.json"])
        config(entries)
        config = json.dumps(entries)
    if config is not None:
        content["config.json"] = config
    if weights is not None:
        buffer = io.BytesIO()
        with h5py.File(buffer, "w") as group:
            weights(group)
        content["model.weights.h5"] = buffer.getvalue()
    with zipfile.ZipFile(file, "w", compression) as archive:
        for name, data in content.items():
            archive.writestr(name, data)
    return file


def refused(file, what, seconds=30):
    started = time.monotonic()
    with pytest.raises(AsapError, match=what) as refusal:
        load_keras_model(file)
    message = str(refusal.value)
    assert message.startswith(f"{file}: cannot be opened as a Keras model: ")
    assert message.isprintable() and len(message) < 1000
    assert time.monotonic() - started < seconds


@pytest.mark.parametrize(
    ("name", "config"),
    [
        ("Lambda", {"function": "print"}),
        ("TFSMLayer", {"filepath": "/tmp/anything"}),
        ("deserialize", {"config": {"class_name": "Dense", "config": {"units": 1}}}),
    ],
)
def test_a_layer_without_a_module(plain, name, config):
    """Keras then looks in `keras.layers`, whatever the file says of it."""

    def change(entries):
        (layer,) = entries["config"]["layers"][1:]
        layer.update(class_name=name, config=config, registered_name="asap_tf>FFDN")
        del layer["module"]

    refused(rewritten(plain, change), f"None.{name} in it could run code")


@pytest.mark.parametrize("name", ["keras.utils>get_file", "get_file", "asap_tf>FFDN", "FFDN"])
@pytest.mark.parametrize("registered", ["asap_tf>FFDN", None, "function", 7, ["a"]])
def test_a_function_by_the_name_of_a_class(plain, name, registered):
    def change(entries):
        entries["config"]["layers"][1]["config"]["kernel_initializer"] = {
            "module": "keras.utils",
            "class_name": "function",
            "config": name,
            "registered_name": registered,
        }

    refused(rewritten(plain, change), "keras.utils.function in it could run code")


@pytest.mark.parametrize(
    "entry",
    [
        {"module": "keras.initializers", "class_name": "deserialize", "registered_name": None},
        {"module": "keras.initializers", "class_name": "zeros", "registered_name": None},
        {"module": "keras.initializers", "class_name": "Zeros"},
        {"module": "keras.initializers", "class_name": ["Zeros"], "registered_name": None},
        {"module": "keras.initializers", "class_name": "Zeros", "registered_name": "other>Zeros"},
        {"module": "keras.layers", "class_name": "Lambda", "registered_name": "asap_tf>FFDN"},
        {"module": "keras.src.ops.operation", "class_name": "Operation", "registered_name": None},
        {"module": None, "class_name": "__lambda__", "registered_name": None},
    ],
)
def test_entries_that_keras_takes_for_something_else(plain, entry):
    def change(entries):
        layer = entries["config"]["layers"][1]
        layer["config"]["kernel_initializer"] = {"config": {}, **entry}

    refused(rewritten(plain, change), "in it could run code")


def test_classes_that_a_library_has_registered(plain):
    @keras.saving.register_keras_serializable("keras_hub")
    class Reader(layers.Layer):
        pass

    Reader.__module__ = "keras_hub.src.readers"

    def change(entries):
        layer = entries["config"]["layers"][1]
        layer |= {"class_name": "Reader", "registered_name": "keras_hub>Reader"}

    refused(rewritten(plain, change), "Reader in it could run code")


def test_a_swap_between_check_and_load(plain, tmp_path, monkeypatch):
    other = saved(tmp_path / "other.keras", layers.Conv2D(3, 1, name="other"))
    load = keras.models.load_model

    def load_later(path, **options):
        shutil.copy(other, plain)
        return load(path, **options)

    monkeypatch.setattr(keras.models, "load_model", load_later)
    assert "other" not in [layer.name for layer in load_keras_model(plain).layers]


def doubled(group):
    """Sixty groups with two names each: 2 to the power of 60 paths."""
    for _ in range(60):
        below = group.create_group("a")
        group["b"] = below
        group = below


def circle(group):
    group["a"] = group


def unwritten(group):
    group.create_dataset("a", (1 << 29,), "f4", chunks=(1 << 20,))


def in_parts(group):
    for i in range(9):
        group.create_dataset(str(i), (1 << 24,), "f4", chunks=(1 << 20,))


def texts(group):
    group["a"] = ["x"] * 10


def compressed(group):
    group.create_dataset("a", data=np.zeros(1 << 24, "f4"), compression="gzip")


@pytest.mark.parametrize(
    ("weights", "what"),
    [
        (doubled, "is there twice"),
        (circle, "is there twice"),
        (unwritten, "not stored there, or of 2147483648 bytes"),
        (in_parts, "not stored there, or of 67108864 bytes"),
        (texts, "no array of numbers"),
        (compressed, "not stored there, or of 67108864 bytes"),
    ],
)
def test_weights_that_are_more_than_their_file(plain, weights, what):
    refused(rewritten(plain, weights=weights), f"in its weights .*{what}")


def test_a_layer_that_is_larger_than_its_weights(tmp_path):
    file = saved(tmp_path / "model.keras", layers.Dense(5))

    def change(entries):
        entries["config"]["layers"][1]["config"]["units"] = 2**31 - 1

    refused(rewritten(file, change), "its layers want [0-9]+ values, its file has 20")


def test_a_matrix_of_any_size(tmp_path):
    from asap_tf.layers import AdaptiveMean

    file = saved(tmp_path / "model.keras", AdaptiveMean(3))

    def change(entries):
        entries["config"]["layers"][1]["config"]["bins"] = 2**31

    refused(rewritten(file, change), "could not be deserialized")


def test_layers_in_reverse(tmp_path):
    """Keras puts each off until those before it are there: n * n tries, each of a tenth of a ms."""
    file = saved(tmp_path / "model.keras", *(layers.Identity() for _ in range(500)))
    refused(rewritten(file, lambda entries: entries["config"]["layers"].reverse()), "wrong order")


def test_more_layers_than_anybody_needs(plain):
    def change(entries):
        layer = json.dumps(entries["config"]["layers"][1])
        many = [json.loads(layer) | {"name": str(i)} for i in range(5000)]
        entries["config"]["layers"] += many

    refused(rewritten(plain, change), "more than 15000 objects")


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("[" * 200_000 + "]" * 200_000, "damaged"),
        ('{"a": ' * 4_000 + "1" + "}" * 4_000, "nested more than 100 deep|damaged"),
        ('{"a": ' * 150 + "1" + "}" * 150, "nested more than 100 deep"),
        ('{"a": ' + "1" * 2_000_000 + "}", "damaged"),
        ("[]", "damaged"),
        ("7", "damaged"),
        ("", "damaged"),
        ('{"class_name": "\\u001b]0;x\\u0007\\n", "config": {}, "module": "a"}', "could run code"),
        ('{"config": {"layers": [7]}}', "damaged"),
        ('{"layers": [{"name": [1]}]}', "damaged"),
    ],
    ids=range(10),
)
def test_configurations_that_are_none(plain, text, what):
    refused(rewritten(plain, text), what)


def test_a_configuration_that_unpacks_to_gigabytes(plain):
    text = '{"a": "' + "x" * 100_000_000 + '"}'
    rewritten(plain, text, compression=zipfile.ZIP_DEFLATED)
    assert plain.stat().st_size < 10**6
    refused(plain, "it would unpack to 0.1 GB")


def test_a_pipe_and_an_endless_file(tmp_path):
    os.mkfifo(tmp_path / "pipe.keras")
    (tmp_path / "zeros.keras").symlink_to("/dev/zero")
    for name in ("pipe.keras", "zeros.keras"):
        refused(tmp_path / name, "not a file of at most 2 GB")


def test_operations_of_keras_still_open(tmp_path):
    frames = keras.Input((32, 32, 3))
    x = keras.ops.mean(frames, axis=1, keepdims=True) + frames * 2
    x = keras.ops.softmax(keras.ops.relu(keras.ops.image.resize(x, (64, 64)))[:, :32])
    model = keras.Model(frames, keras.ops.cast(x, "float16"))
    model.save(tmp_path / "model.keras")
    array = np.ones((1, 32, 32, 3), "float32")
    np.testing.assert_array_equal(load_keras_model(tmp_path / "model.keras")(array), model(array))


def test_a_stack_of_layers_still_opens(tmp_path):
    model = keras.Sequential([keras.Input((32, 32, 3)), layers.Conv2D(8, 3), layers.Conv2D(5, 1)])
    model.save(tmp_path / "model.keras")
    array = np.ones((1, 32, 32, 3), "float32")
    np.testing.assert_array_equal(load_keras_model(tmp_path / "model.keras")(array), model(array))


def test_outputs_of_other_names(tmp_path):
    frames = keras.Input((32, 32, 3))
    outputs = {name: layers.Conv2D(5, 1)(frames) for name in ("seg", "aux")}
    keras.Model(frames, outputs).save(tmp_path / "model.keras")
    refused(tmp_path / "model.keras", "none is named 'logits'")


def test_a_function_that_the_program_has_registered(tmp_path):
    @keras.saving.register_keras_serializable("theirs")
    def doubled_activation(x):
        return 2 * x

    file = saved(tmp_path / "model.keras", layers.Activation(doubled_activation))
    assert load_keras_model(file)(np.ones((1, 32, 32, 3), "float32")).numpy().max() == 2
