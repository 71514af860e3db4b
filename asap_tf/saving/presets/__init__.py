"""Trained models that ship with asap-tf: each a `.keras` file, and a model card beside it."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

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
