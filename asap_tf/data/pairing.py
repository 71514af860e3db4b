"""Frames and masks matched by name."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NoReturn

from asap_tf.core.errors import AsapError
from asap_tf.data.dataset import Pair

FRAME_ENDINGS = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")
MASK_ENDINGS = (".png", ".bmp", ".tif", ".tiff")
"""Without JPEG and WebP: lossy compression invents classes at every edge."""


def find_files(folder: Path, endings: Sequence[str]) -> dict[str, list[Path]]:
    """Files below a folder, by the key that pairs them: their relative path without the ending.

    Args:
        folder: Folder to search with its subfolders; may be missing. Names that start with a dot
            and links to a parent folder are skipped.
        endings: Endings such as `("_leftImg8bit.png",)`, in upper or lower case.
    """
    found: dict[str, list[Path]] = {}
    if not folder.is_dir():
        return found
    for where, folders, names in os.walk(folder, onerror=_fail, followlinks=True):
        folders[:] = [name for name in folders if not _leads_back(Path(where, name), folder)]
        for name in names:
            ending = next((e for e in endings if name.lower().endswith(e.lower())), None)
            if ending is not None and not name.startswith("."):
                path = Path(where, name)
                key = path.relative_to(folder).as_posix()[: -len(ending)]
                found.setdefault(key, []).append(path)
    return found


def match(
    images: Mapping[str, Sequence[Path]], masks: Mapping[str, Sequence[Path]] | None
) -> tuple[tuple[Pair, ...], tuple[Path, ...]]:
    """Pair up what `find_files` found.

    Args:
        images: Frames by key.
        masks: Masks by key; None for a split without masks.

    Returns:
        The pairs sorted by key, and the files without a partner. Files that share a key are not
        paired, since it is unclear which one is meant.
    """
    if masks is None:
        paths = sorted(path for group in images.values() for path in group)
        return tuple(Pair(path, None) for path in paths), ()
    pairs, alone = [], []
    for key in sorted(images.keys() | masks.keys()):
        frames, truths = images.get(key, ()), masks.get(key, ())
        if len(frames) == len(truths) == 1:
            pairs.append(Pair(frames[0], truths[0]))
        else:
            alone += sorted([*frames, *truths])
    return tuple(pairs), tuple(alone)


def _leads_back(link: Path, top: Path) -> bool:
    """Whether a subfolder of `top` is a link to one of its own parents."""
    if not link.is_symlink():
        return False
    way = (folder for folder in link.parents if folder == top or top in folder.parents)
    return any(folder.samefile(link) for folder in way)


def _fail(error: OSError) -> NoReturn:
    raise AsapError(f"{error.filename}: the folder cannot be listed ({error.strerror})")
