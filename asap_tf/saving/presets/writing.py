"""From a run's model to a preset: half the size, and nothing of the machine it was trained on."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from asap_tf.saving.metadata import METADATA_NAME, copy_archive

WEIGHTS_NAME = "model.weights.h5"
"""Name of the weights within a `.keras` file."""


def write_preset(source: Path, target: Path) -> None:
    """Copies a `.keras` file with its kernels in float16: half the size, for a preset.

    Norms and biases stay as they are: variances may be larger or smaller than float16 reaches. The
    recipe in it loses the folders of the machine it was trained on.

    Args:
        source: Any `.keras` file.
        target: Appears whole or not at all.
    """
    changes = {WEIGHTS_NAME: halved, METADATA_NAME: without_folders}
    copy_archive(source, target, changes, zipfile.ZIP_DEFLATED)


def without_folders(metadata: bytes) -> bytes:
    """A model's metadata whose recipe names neither the dataset's folder nor further frames'."""
    entries = json.loads(metadata)
    recipe = entries.get("recipe", {})
    data = recipe.get("data", {})
    for section in data if isinstance(data, list) else [data]:
        section["root"] = None
    if recipe.get("distill"):
        recipe["distill"]["frames"] = []
        recipe["distill"]["teacher"] = Path(recipe["distill"]["teacher"]).name
    if recipe.get("model", {}).get("weights"):
        recipe["model"]["weights"] = Path(recipe["model"]["weights"]).name
    return json.dumps(entries, indent=1).encode()


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
