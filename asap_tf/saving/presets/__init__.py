"""Trained models that ship with asap-tf: each a `.keras` file, and a model card beside it."""

from __future__ import annotations

from pathlib import Path

FOLDER = Path(__file__).parent


def preset_files() -> dict[str, Path]:
    """The files of all presets by name.

    Examples:
        >>> list(preset_files())[:2]
        ['asap_lite0_camvid', 'asap_lite0_fast_street']
    """
    return {file.stem: file for file in sorted(FOLDER.glob("*.keras"))}


def preset_file(path: str | Path) -> Path | None:
    """The file of the preset of that name, unless there is a file or folder at `path`."""
    return None if Path(path).exists() else preset_files().get(str(path))
