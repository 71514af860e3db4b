"""Files that strangers could send: none of them is opened, and none of them runs anything."""

from __future__ import annotations

import io
import json
import os
import stat
import zipfile

import h5py
import keras
import numpy as np
import pytest

from asap_tf.core.errors import AsapError
from asap_tf.saving import load_keras_model


def save(tmp_path, outputs_of, name="model.keras"):
    frames = keras.Input((32, 32, 3))
    keras.Model(frames, outputs_of(frames)).save(tmp_path / name)
    return tmp_path / name


@pytest.fixture
def plain(tmp_path):
    return save(tmp_path, keras.layers.Conv2D(3, 1))


def refused(file, what):
    with pytest.raises(AsapError, match=rf"{file.name}: cannot be opened as a Keras model: {what}"):
        load_keras_model(file)


def rewrite(file, change):
    """The archive again, with what `change` makes of the configuration."""
    with zipfile.ZipFile(file) as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    config = json.loads(content["config.json"])
    change(config)
    content["config.json"] = json.dumps(config).encode()
    with zipfile.ZipFile(file, "w") as archive:
        for name, data in content.items():
            archive.writestr(name, data)


def test_a_lambda_layer(tmp_path):
    file = save(tmp_path, keras.layers.Lambda(lambda x: x))
    refused(file, r"keras.layers.Lambda in it could run code of its own")


def test_a_class_of_somebody_elses(tmp_path):
    class Mine(keras.layers.Layer):
        def call(self, x):
            return x

    file = save(tmp_path, Mine())
    refused(file, r".*\.Mine in it could run code of its own")
    keras.saving.register_keras_serializable("theirs")(Mine)
    save(tmp_path, Mine())
    assert load_keras_model(file).layers[-1].__class__ is Mine


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("keras.layers", "TFSMLayer"),
        ("keras.layers", "TorchModuleWrapper"),
        ("keras.layers", "StringLookup"),
        ("os", "system"),
        ("builtins", "function"),
        (None, "__lambda__"),
        (None, "__typespec__"),
        (None, "Conv2D"),
    ],
)
@pytest.mark.parametrize("registered", [None, "asap_tf>FFDN"])
def test_objects_that_do_more_than_arithmetic(plain, module, name, registered):
    def change(config):
        layer = {"module": module, "class_name": name, "config": {}, "registered_name": registered}
        config["config"]["layers"][-1]["config"]["kernel_initializer"] = layer

    rewrite(plain, change)
    refused(plain, rf"{module}.{name} in it could run code")


def test_an_entry_without_a_module_is_not_taken_for_a_registered_class(plain):
    def change(config):
        layer = config["config"]["layers"][-1]
        del layer["module"]
        layer |= {"class_name": "TFSMLayer", "registered_name": "asap_tf>FFDN"}

    rewrite(plain, change)
    refused(plain, "None.TFSMLayer in it could run code")


@pytest.mark.parametrize("name", ["../evil", "/etc/evil", "assets/vocabulary.txt", "evil.py"])
def test_members_of_other_names(plain, name):
    with zipfile.ZipFile(plain, "a") as archive:
        archive.writestr(name, "x")
    refused(plain, f"'{name}' in it is no part of one")


def test_a_symbolic_link(plain):
    with zipfile.ZipFile(plain) as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(plain, "w") as archive:
        for name, data in content.items():
            member = zipfile.ZipInfo(name)
            if name == "config.json":
                member.external_attr, data = (stat.S_IFLNK | 0o777) << 16, b"/etc/passwd"
            archive.writestr(member, data)
    refused(plain, "damaged or another kind of file")


def test_a_bomb(plain):
    with (
        zipfile.ZipFile(plain, "a", zipfile.ZIP_DEFLATED) as archive,
        archive.open("asap_tf.json", "w", force_zip64=True) as member,
    ):
        for _ in range(2200):
            member.write(bytes(1 << 20))
    assert os.path.getsize(plain) < 4e6
    refused(plain, r"it would unpack to 2.3 GB")


def weights_of(plain, fill):
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        fill(file)
    with zipfile.ZipFile(plain) as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    content["model.weights.h5"] = buffer.getvalue()
    with zipfile.ZipFile(plain, "w") as archive:
        for name, data in content.items():
            archive.writestr(name, data)


def test_weights_that_are_elsewhere_or_endless(plain, tmp_path):
    (tmp_path / "secret").write_bytes(bytes(400))
    links = {
        "an external file": lambda f: f.create_group("a").__setitem__(
            "vars", h5py.ExternalLink("other.h5", "/x")
        ),
        "a soft link": lambda f: f.__setitem__("a", h5py.SoftLink("/x")),
    }
    for fill in links.values():
        weights_of(plain, fill)
        refused(plain, r".* in its weights is a link")

    def outside(file):
        file.create_dataset("a", (100,), "f4", external=[(str(tmp_path / "secret"), 0, 400)])

    def endless(file):
        file.create_dataset("a", (1 << 40,), "f4", chunks=(1 << 20,))

    for fill in (outside, endless):
        weights_of(plain, fill)
        refused(plain, r"/a in its weights is not stored there, or of \d+ bytes")


def test_a_compiled_model_is_opened_as_one_that_is_not(plain):
    model = keras.models.load_model(plain)
    model.compile(keras.optimizers.AdamW(), "mse", metrics=["mae"])
    model.save(plain)
    assert not load_keras_model(plain).compiled


def test_what_is_known_still_opens(plain):
    x = np.ones((1, 32, 32, 3), "float32")
    expected = keras.models.load_model(plain)(x)
    np.testing.assert_array_equal(load_keras_model(plain)(x), expected)
