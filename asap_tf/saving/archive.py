"""What a `.keras` file may hold: it comes from strangers, and Keras would run some of it."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py

from asap_tf.core.errors import AsapError
from asap_tf.saving.metadata import METADATA_NAME

MEMBERS = {"metadata.json", "config.json", "model.weights.h5", METADATA_NAME}
MOST_BYTES = 1 << 31
"""Unpacked; the largest network of this package has 50 MB."""

MODULES = (
    "keras.initializers",
    "keras.regularizers",
    "keras.constraints",
    "keras.dtype_policies",
    "keras.src.ops.",
)
"""Of which every class is plain arithmetic."""

CLASSES = {
    "keras": {"DTypePolicy"},
    "keras.src.models.functional": {"Functional"},
    "keras.src.models.sequential": {"Sequential"},
    "keras.layers": set(
        "InputLayer Rescaling Normalization Resizing Dense Conv2D Conv2DTranspose DepthwiseConv2D "
        "SeparableConv2D BatchNormalization LayerNormalization GroupNormalization ReLU "
        "LeakyReLU PReLU ELU Activation Softmax Add Subtract Multiply Average Maximum Minimum "
        "Concatenate Dot UpSampling2D ZeroPadding2D Cropping2D MaxPooling2D AveragePooling2D "
        "GlobalAveragePooling2D GlobalMaxPooling2D Dropout SpatialDropout2D Identity Reshape "
        "Permute Flatten Attention MultiHeadAttention".split()
    ),
}
"""By module. Not among them are layers that run code, import modules, or open other files."""

VALUES = {"__keras_tensor__", "__tensor__", "__numpy__", "__bytes__", "__slice__", "__ellipsis__"}


def check_archive(file: Path) -> None:
    """Refuses a `.keras` file that is damaged, or holds anything but arrays and known layers.

    Nothing is unpacked or built for it. A class of somebody else's is fine where the program has
    registered it with Keras itself, by `keras.saving.register_keras_serializable`.

    Raises:
        AsapError: naming what was found.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            problem = problem_of(archive)
    except Exception as error:
        raise AsapError(
            f"{file}: cannot be opened as a Keras model: damaged or another kind of file"
        ) from error
    if problem:
        raise AsapError(f"{file}: cannot be opened as a Keras model: {problem}")


def problem_of(archive: zipfile.ZipFile) -> str | None:
    """What is wrong with an archive, or None."""
    members = archive.infolist()
    foreign = next((m.filename for m in members if m.filename not in MEMBERS), None)
    if foreign is not None:
        return f"{foreign!r} in it is no part of one"
    size = sum(member.file_size for member in members)
    if size > MOST_BYTES:
        return f"it would unpack to {size / 1e9:.0f} GB"
    broken = archive.testzip()
    if broken is not None:
        return f"{broken} in it is damaged"
    # Models are opened without what they were compiled with.
    config = {**json.loads(archive.read("config.json")), "compile_config": None}
    for item in objects(config):
        if not is_known(item):
            return (
                f"{item.get('module')}.{item.get('class_name')} in it could run code of its own. "
                "If you trust it, register the class with Keras first, or export the model to "
                "another format"
            )
    with h5py.File(io.BytesIO(archive.read("model.weights.h5"))) as weights:
        return problem_of_weights(weights)


def problem_of_weights(group: h5py.Group) -> str | None:
    """What a group of arrays has that arrays of weights have not, or None."""
    for name in group:
        link = group.get(name, getlink=True)
        if not isinstance(link, h5py.HardLink):
            return f"{group.name}/{name} in its weights is a link"
        item = group[name]
        if isinstance(item, h5py.Group):
            if problem := problem_of_weights(item):
                return problem
        elif item.external or item.is_virtual or item.nbytes > MOST_BYTES:
            return f"{item.name} in its weights is not stored there, or of {item.nbytes} bytes"
    return None


def objects(config: Any) -> Iterator[dict[str, Any]]:
    """Everything in a configuration that Keras would make an object or a function of."""
    if isinstance(config, dict):
        if "class_name" in config:
            yield config
        config = list(config.values())
    if isinstance(config, list):
        for value in config:
            yield from objects(value)


def is_known(item: dict[str, Any]) -> bool:
    """Whether Keras may make the object that a configuration asks for."""
    import keras

    module, name = str(item.get("module")), str(item["class_name"])
    if name.startswith("__"):
        return name in VALUES
    # Without a module Keras reads an entry as of its older format, and by its class's name alone.
    if "module" in item and item.get("registered_name") in keras.saving.get_custom_objects():
        return True
    if name == "function":
        return False
    return module.startswith(MODULES) or name in CLASSES.get(module, ())
