"""What a `.keras` file may hold: it comes from strangers, and Keras would run some of it."""

from __future__ import annotations

import contextlib
import inspect
import io
import json
import math
import shutil
import tempfile
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import h5py

from asap_tf.core.errors import AsapError, first_line, shown
from asap_tf.saving.metadata import METADATA_NAME

CONFIG, WEIGHTS = "config.json", "model.weights.h5"
MEMBERS = {"metadata.json", CONFIG, WEIGHTS, METADATA_NAME}

MOST_BYTES = 1 << 31
"""Unpacked; the largest network of this package has 50 MB."""
MOST_CONFIG = 1 << 23
"""Bytes of the configuration; the largest of this package has 0.7 MB."""
MOST_OBJECTS = 15_000
"""In a configuration; the largest of this package has 3,100."""
MOST_ARRAYS = 100_000
MOST_DEPTH = 100
MOST_TRIES = 100_000
"""Layers that Keras may have to put off, since they stand before those that they need."""

MODULES = ("keras.initializers", "keras.regularizers", "keras.constraints", "keras.dtype_policies")
"""Of which every class is plain arithmetic."""

CLASSES = {
    "keras": {"DTypePolicy", "Sequential"},
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
    "keras.src.ops.core": {"Cast"},
    "keras.src.ops.image": {"Resize"},
    "keras.src.ops.nn": set(
        "Elu Gelu HardSigmoid HardSilu LeakyRelu LogSoftmax Relu Relu6 Selu Sigmoid Silu Softmax "
        "Softplus Softsign".split()
    ),
    "keras.src.ops.numpy": set(
        "Absolute Add Argmax BroadcastTo Clip Concatenate Divide Exp ExpandDims Flip GetItem Log "
        "Matmul Max Maximum Mean Min Minimum Moveaxis Multiply Negative Pad Power Reciprocal "
        "Reshape Sqrt Square Squeeze Stack Subtract Sum Tanh Transpose TrueDivide Var".split()
    ),
}
"""By module. Not among them is what runs code, imports modules, or opens other files."""

VALUES = {"__keras_tensor__", "__tensor__", "__numpy__", "__bytes__", "__slice__", "__ellipsis__"}

LIBRARIES = {"keras_cv", "keras_hub", "keras_nlp"}
"""Whose classes are registered by their import, which is nobody's word that they may be used."""


@contextlib.contextmanager
def checked_copy(file: Path) -> Iterator[Path]:
    """A copy of a `.keras` file that Keras may open, which no one else can change.

    Nothing is unpacked or run for it. A class of somebody else's is fine where the program has
    registered it with Keras itself, by `keras.saving.register_keras_serializable`.

    Args:
        file: The file; anybody's.

    Yields:
        Its copy, removed at the end.

    Raises:
        AsapError: if it is damaged, or holds more than arrays and known layers, naming what.
    """
    with tempfile.TemporaryDirectory(prefix="asap-tf-") as folder:
        copy = Path(folder, "model.keras")
        try:
            if not file.is_file() or file.stat().st_size > MOST_BYTES:
                raise ValueError(f"not a file of at most {MOST_BYTES >> 30} GB")
            shutil.copyfile(file, copy)
            with zipfile.ZipFile(copy) as archive:
                problem = problem_of(archive)
        except Exception as error:
            raise AsapError(
                f"{file}: cannot be opened as a Keras model: damaged or another kind of file "
                f"({first_line(error)})"
            ) from error
        if problem:
            raise AsapError(f"{file}: cannot be opened as a Keras model: {problem}")
        yield copy


def problem_of(archive: zipfile.ZipFile) -> str | None:
    """What is wrong with an archive, or None."""
    members = archive.infolist()
    foreign = next((m.filename for m in members if m.filename not in MEMBERS), None)
    if foreign is not None:
        return f"'{shown(foreign, 200)}' in it is no part of one"
    if len(members) > len({member.filename for member in members}):
        return "it has a part twice"
    size = sum(member.file_size for member in members)
    # Keras does not compress; a little more is what other tools may have saved.
    if size > min(MOST_BYTES, 16 * sum(member.compress_size for member in members) + 2**20):
        return f"it would unpack to {size / 1e9:.1f} GB"
    broken = archive.testzip()
    if broken is not None:
        return f"{broken} in it is damaged"
    if archive.getinfo(CONFIG).file_size > MOST_CONFIG:
        return f"{CONFIG} in it is larger than {MOST_CONFIG >> 20} MB"
    with h5py.File(io.BytesIO(archive.read(WEIGHTS))) as weights:
        values, problem = weigh(weights, archive.getinfo(WEIGHTS).file_size)
    # Models are opened without what they were compiled with.
    config = {**json.loads(archive.read(CONFIG)), "compile_config": None}
    return problem or problem_of_config(config) or problem_of_sizes(config, values)


def weigh(file: h5py.File, size: int) -> tuple[int, str | None]:
    """How many values a file of weights holds, and what it has that one has not, or None.

    Args:
        file: Any HDF5 file.
        size: Its bytes: so many the arrays may have.
    """
    groups, seen, values, most = [file], {address(file)}, 0, size
    while groups:
        group = groups.pop()
        for name in group:
            where = f"{shown(f'{group.name}/{name}'.replace('//', '/'), 200)} in its weights"
            if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                return values, f"{where} is a link"
            item = group[name]
            if address(item) in seen:
                return values, f"{where} is there twice"
            seen.add(address(item))
            if len(seen) > MOST_ARRAYS:
                return values, f"its weights are more than {MOST_ARRAYS} arrays"
            if isinstance(item, h5py.Group):
                groups.append(item)
            elif not isinstance(item, h5py.Dataset) or item.dtype.hasobject:
                return values, f"{where} is no array of numbers"
            else:
                most -= item.nbytes
                values += item.size
                if item.external or item.is_virtual or most < 0:
                    return values, f"{where} is not stored there, or of {item.nbytes} bytes"
    return values, None


def address(item: Any) -> Any:
    """Where an object of an HDF5 file is stored: names may be many."""
    return h5py.h5o.get_info(item.id).addr


def problem_of_config(config: Any) -> str | None:
    """What a configuration has Keras make that is not on the list, or None."""
    waiting, objects = [(config, 0)], 0
    while waiting:
        value, depth = waiting.pop()
        if depth > MOST_DEPTH:
            return f"its configuration is nested more than {MOST_DEPTH} deep"
        if isinstance(value, dict):
            if "class_name" in value:
                objects += 1
                if objects > MOST_OBJECTS:
                    return f"its configuration has more than {MOST_OBJECTS} objects"
                if not is_known(value):
                    name = f"{value.get('module')}.{value['class_name']}"
                    return (
                        f"{shown(name, 200)} in it could run code of its own. If you trust it, "
                        "register the class with Keras first, or export the model by Keras itself "
                        "to another format"
                    )
            if isinstance(value.get("layers"), list) and tries(value["layers"]) > MOST_TRIES:
                return "the layers in it are in a wrong order"
        if isinstance(value, (dict, list)):
            children = value.values() if isinstance(value, dict) else value
            waiting += ((child, depth + 1) for child in children)
    return None


def is_known(item: dict[str, Any]) -> bool:
    """Whether what Keras would make of a configuration's entry is on the list.

    Keras looks at a name in double underscores first, then at what is registered, then at the
    module; and in an entry without a module at something else altogether.
    """
    import keras

    name, module = item["class_name"], item.get("module")
    if not isinstance(name, str):
        return False
    if name.startswith("__"):
        return name in VALUES
    if not isinstance(module, str) or "registered_name" not in item or "config" not in item:
        return False
    if name == "function":
        return inspect.isfunction(registered_object(item["config"]))
    registered = item["registered_name"]
    if (found := registered_object(registered)) is not None:
        return inspect.isclass(found) and found.__name__ == name
    if registered not in (None, name):
        return False
    if module in MODULES:
        # Those in lower case are functions, or other names of the classes.
        found = getattr(getattr(keras, module.removeprefix("keras.")), name, None)
        return inspect.isclass(found) and name[:1].isupper()
    return name in CLASSES.get(module, ())


def registered_object(name: Any) -> Any:
    """What the program has registered with Keras under a name; None if it has nothing."""
    import keras

    found = keras.saving.get_custom_objects().get(name) if isinstance(name, str) else None
    library = str(getattr(found, "__module__", "")).partition(".")[0]
    return None if library in LIBRARIES else found


def tries(layers: list[Any]) -> int:
    """How many times Keras may put a layer off, since it stands before those that it needs.

    Each time it does, it goes through all layers once more.
    """
    places = {layer["name"]: place for place, layer in enumerate(layers) if "name" in layer}
    forward = 0
    for place, layer in enumerate(layers):
        for node in layer.get("inbound_nodes", ()):
            if not isinstance(node, dict):
                return MOST_TRIES + 1
            waiting = [node]
            while waiting:
                value = waiting.pop()
                if isinstance(value, dict):
                    history = value.get("keras_history")
                    if history:
                        forward += places.get(history[0], 0) > place
                    waiting += value.values()
                elif isinstance(value, list):
                    waiting += value
    return forward * len(layers)


def problem_of_sizes(config: dict[str, Any], values: int) -> str | None:
    """Whether a network is larger than its weights, which Keras would find out too late.

    Args:
        config: Of the network, checked.
        values: Count of those that are stored.
    """
    import keras

    def count() -> int:
        with keras.StatelessScope(initialize_variables=False):
            model = keras.saving.deserialize_keras_object(config, safe_mode=True)
            return sum(math.prod(variable.shape) for variable in model.variables)

    # Keras remembers variables without values, to give them some later: those of this thread.
    with ThreadPoolExecutor(1) as thread:
        wanted = thread.submit(count).result()
    return None if wanted <= values else f"its layers want {wanted} values, its file has {values}"
