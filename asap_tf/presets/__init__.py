"""Trained models that ship with asap-tf: each a `.keras` file, and a model card beside it."""

from __future__ import annotations

import io
import zipfile
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from asap_tf.errors import UsageError, nearest
from asap_tf.files import written_whole

if TYPE_CHECKING:
    import keras

WEIGHTS_NAME = "model.weights.h5"
"""Name of the weights within a `.keras` file."""


def presets() -> dict[str, Path]:
    """The files of all presets by name.

    Example:
        >>> sorted(presets())
        ['asap_lite0_camvid']
    """
    files = (Path(str(f)) for f in resources.files("asap_tf.presets").iterdir())
    return {file.stem: file for file in sorted(files) if file.suffix == ".keras"}


def preset_file(path: str | Path) -> Path | None:
    """The file of the preset of that name, unless there is a file or folder at `path`."""
    return None if Path(path).exists() else presets().get(str(path))


def from_preset(name: str) -> keras.Model:
    """A trained network that ships with asap-tf, as a Keras model.

    Args:
        name: Of the preset. `asap_tf.load(name)` gives it with its classes, from frames to
            label maps, and `ASAPNet(weights=name)` its weights for other classes.

    Returns:
        A model from RGB frames 0..255 `(N, H, W, 3)`, H and W multiples of 32, to float32 logits
        `(N, H, W, num_classes)`.

    Raises:
        UsageError: if there is no such preset.

    Example:
        >>> asap_tf.from_preset("asap_lite0_camvid").output_shape
        (None, None, None, 11)
    """
    from asap_tf.runtime.keras_file import load_keras_model

    files = presets()
    if name not in files:
        raise UsageError(f"no preset {name!r}; {nearest(name, files)}")
    return load_keras_model(files[name])


def write_preset(source: Path, target: Path) -> None:
    """Copies a `.keras` file with its kernels in float16: half the size, for a preset.

    Norms and biases stay as they are: variances may be larger or smaller than float16 reaches.

    Args:
        source: Any `.keras` file.
        target: Appears whole or not at all.
    """
    with (
        zipfile.ZipFile(source) as old,
        written_whole(target) as aside,
        zipfile.ZipFile(aside, "w", zipfile.ZIP_DEFLATED) as new,
    ):
        for member in old.namelist():
            content = old.read(member)
            new.writestr(member, halved(content) if member == WEIGHTS_NAME else content)


def halved(weights: bytes) -> bytes:
    """An HDF5 file of Keras weights with float16 for float32 in all arrays of two axes or more."""
    import h5py

    result = io.BytesIO()
    with h5py.File(io.BytesIO(weights)) as old, h5py.File(result, "w") as new:

        def copy(name: str, item: Any) -> None:
            if isinstance(item, h5py.Dataset):
                half = item.ndim > 1 and item.dtype == np.float32
                copied = new.create_dataset(name, data=item[()], dtype="f2" if half else None)
            else:
                copied = new.require_group(name)
            copied.attrs.update(item.attrs)

        new.attrs.update(old.attrs)
        old.visititems(copy)
    return result.getvalue()
