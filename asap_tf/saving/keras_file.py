"""Files of Keras models that carry their classes, palette and input size."""

from __future__ import annotations

import json
import warnings
import zipfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from asap_tf.core.errors import AsapError, UsageError, first_line, nearest
from asap_tf.core.files import written_whole
from asap_tf.core.keras_backend import import_keras
from asap_tf.core.labels import LabelClass
from asap_tf.core.sizes import Size
from asap_tf.saving.location import locate
from asap_tf.saving.metadata import METADATA_NAME, versions
from asap_tf.saving.presets import preset_files

if TYPE_CHECKING:
    import keras

    from asap_tf.layers import SegmentationModel


WANTED = f"give a run folder, a .keras file or a preset ({', '.join(preset_files())})"


def model_file(path: str | Path) -> Path:
    """The `.keras` file of a run folder, of a preset's name, on the Hub, or at a path.

    Raises:
        UsageError: if there is none.
    """
    path = locate(path)
    if path.is_dir():
        file = path / "model.keras"
        if not file.exists():
            raise UsageError(
                f"{path}: no model.keras in it; a run folder gets one at its first validation"
            )
        return file
    if not path.exists():
        raise UsageError(f"{path}: no such model; {WANTED}")
    if path.suffix != ".keras":
        raise UsageError(f"{path}: not a model; {WANTED}")
    return path


def load_keras_model(path: str | Path) -> SegmentationModel:
    """The Keras model of a run folder or `.keras` file; nothing in the file is ever run.

    Its tensors are found by role, whatever version of this package, or of Keras alone, saved it.

    Raises:
        UsageError: if there is no such file.
        AsapError: if it is damaged, or holds classes that are not known.
    """
    file = model_file(path)
    import_keras()
    import keras

    from asap_tf.layers.segmentation_model import as_segmentation_model
    from asap_tf.saving.archive import checked_copy

    try:
        with checked_copy(file) as copy, warnings.catch_warnings():
            # What is wrong is an error here, or nothing.
            warnings.simplefilter("ignore")
            model = keras.models.load_model(copy, compile=False, safe_mode=True)
        if not isinstance(model, keras.Model):
            raise TypeError(f"holds a {type(model).__name__}")
        return as_segmentation_model(model)
    except AsapError:
        raise
    except Exception as error:
        raise AsapError(
            f"{file}: cannot be opened as a Keras model: {first_line(error)}"
        ) from error


def from_preset(name: str) -> SegmentationModel:
    """A trained network that ships with asap-tf, as a Keras model.

    Args:
        name: Name of the preset. `asap_tf.load(name)` gives it with its classes, from frames to
            label maps, and `ASAPNet(weights=name)` its weights for other classes.

    Returns:
        A model from RGB frames 0..255 `(N, H, W, 3)`, H and W multiples of 32, to float32 logits
        `(N, H, W, num_classes)`.

    Raises:
        UsageError: if there is no such preset.

    Examples:
        >>> asap_tf.from_preset("asap_lite0_camvid").output_shape
        (None, None, None, 11)
    """
    files = preset_files()
    if name not in files:
        raise UsageError(f"no preset {name!r}; {nearest(name, files)}")
    return load_keras_model(files[name])


def save_model(
    model: keras.Model,
    path: Path,
    classes: Sequence[LabelClass],
    size: Size | None,
    **metadata: Any,
) -> None:
    """Writes a `.keras` file that carries its classes, palette and input size.

    The metadata is one more member of the archive, `asap_tf.json`, which Keras passes over. The
    file appears whole or not at all.

    Args:
        model: Functional model from frames to logits.
        path: File to write, ending in `.keras`.
        classes: Classes in the order of their train ids.
        size: Size `(H, W)` that the network is to run at, or length of the longer side; None for
            the frame's own.
        **metadata: Further entries, which JSON can hold.
    """
    entries = {
        "classes": [asdict(c) for c in classes],
        "size": size,
        "input": "RGB frames 0..255, NHWC; normalized inside",
        "versions": versions("asap_tf", "keras", "tensorflow"),
        **metadata,
    }
    with written_whole(path, durable=True) as aside:
        model.save(aside)
        with zipfile.ZipFile(aside, "a") as archive:
            archive.writestr(METADATA_NAME, json.dumps(entries, indent=1))
