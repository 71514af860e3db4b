"""Files and folders that appear whole or not at all."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from asap_tf.core.errors import AsapError


class Unwritable(AsapError):
    """A file or folder that cannot be written: the disk is full, read-only, or was removed."""


@contextlib.contextmanager
def written_whole(path: Path, durable: bool = False) -> Iterator[Path]:
    """A path to write a file or make a folder at, renamed to `path` when all went well.

    Args:
        path: The final name. What a file of that name held stays until the block has ended.
        durable: Whether a file has to outlast a power cut: its content is on the disk before it
            takes the name, and the name when this returns.

    Yields:
        The path to write to, beside `path` and with its suffix; removed if the block fails.

    Raises:
        Unwritable: if it cannot be written.

    Example:
        >>> with written_whole(Path("scores.json")) as aside:
        ...     aside.write_text("{}")
    """
    aside = path.with_name(f".{path.stem}.{os.getpid()}{path.suffix}")
    try:
        yield aside
        if durable:
            flush(aside)
        os.replace(aside, path)
        if durable:
            flush(path.parent)
    except OSError as error:
        raise Unwritable(f"{path}: cannot be written ({error.strerror or error})") from error
    finally:
        if aside.is_dir():
            shutil.rmtree(aside, ignore_errors=True)
        else:
            # There may be nothing to remove, or even no folder: what went wrong has been said.
            with contextlib.suppress(OSError):
                aside.unlink()


def flush(path: Path) -> None:
    """Waits until the disk has what a file holds, or the names that a folder holds.

    Raises:
        OSError: if it does not take it.
    """
    is_folder = path.is_dir()
    if is_folder and os.name == "nt":
        return  # Windows opens no folders.
    descriptor = os.open(path, os.O_RDONLY if is_folder else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove_leftovers(folder: Path) -> None:
    """Removes what writers that were killed have left in a folder; nobody may be writing there.

    Args:
        folder: Searched without its subfolders.
    """
    for path in folder.glob(".*.*"):
        if re.fullmatch(r"\..+\.\d+(\.\w+)?", path.name) and path.is_file():
            path.unlink(missing_ok=True)


def write_json(path: Path, content: Any, durable: bool = False) -> None:
    """Writes a JSON file whole or not at all; see `written_whole`.

    Raises:
        Unwritable: if it cannot be written.

    Example:
        >>> write_json(Path("scores.json"), {"miou": 0.6})
    """
    with written_whole(path, durable=durable) as aside:
        aside.write_text(json.dumps(content, indent=1), encoding="utf-8")
