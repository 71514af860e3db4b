"""Trained models that ship with asap-tf: each a `.keras` file, and a model card beside it."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from asap_tf.core.errors import UsageError, nearest

if TYPE_CHECKING:
    import keras


def presets() -> dict[str, Path]:
    """The files of all presets by name.

    Example:
        >>> sorted(presets())
        ['asap_lite0_camvid', 'asap_resnet18_camvid', 'asap_resnet18_half_camvid']
    """
    files = (Path(str(f)) for f in resources.files("asap_tf.saving.presets").iterdir())
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
    from asap_tf.saving.keras_file import load_keras_model

    files = presets()
    if name not in files:
        raise UsageError(f"no preset {name!r}; {nearest(name, files)}")
    return load_keras_model(files[name])
