"""Files and folders that appear whole or not at all."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import platform
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from asap_tf.core.errors import AsapError

PREFIX = ".asap-tf-"
"""How names begin of what is not complete yet."""

LONGEST_NAME = 255
"""Bytes that a file system allows to a name."""


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

    Examples:
        >>> with written_whole(Path("scores.json")) as aside:
        ...     aside.write_text("{}")
    """
    aside = hidden(path, own_tag())
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


def hidden(path: Path, tag: object) -> Path:
    """A path beside another one, for what is to become that file or folder.

    Args:
        path: The final name, of any length that the file system allows.
        tag: What makes the name one's own.

    Examples:
        >>> hidden(Path("labels/0041.png"), 5071)
        PosixPath('labels/.asap-tf-5071-0041.png')
    """
    name = f"{PREFIX}{tag}-{path.name}"
    if len(os.fsencode(name)) > LONGEST_NAME:
        digest = hashlib.sha256(os.fsencode(path.name)).hexdigest()
        name = f"{PREFIX}{tag}-{digest[:32]}{path.suffix[-20:]}"
    return path.with_name(name)


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


def remove_leftovers(folder: Path, idle: float = 0.0) -> None:
    """Removes what writers that were killed have left in a folder.

    Args:
        folder: Searched without its subfolders.
        idle: Seconds for which nothing has been written to it, unless its writer, on this machine,
            has ended; 0 where nobody else is writing.
    """
    for path in folder.glob(f"{PREFIX}[0-9]*"):
        # Another process may be removing it, or be done with it.
        with contextlib.suppress(OSError):
            written = max(file.lstat().st_mtime for file in (path, *path.rglob("*")))
            writer = path.name.removeprefix(PREFIX).partition("-")[0]
            if time.time() - written >= idle or _has_ended(writer):
                shutil.rmtree(path) if path.is_dir() else path.unlink()


def own_tag() -> str:
    """This process among those of all machines that may share a folder."""
    return f"{os.getpid()}@{platform.node().replace('-', '_')[:32]}"


def _has_ended(writer: str) -> bool:
    """Whether a process, as `own_tag` names them, was one of this machine and runs no more."""
    number, _, machine = writer.partition("@")
    if machine != own_tag().partition("@")[2] or not number.isdecimal() or os.name != "posix":
        return False
    try:
        os.kill(int(number), 0)  # It sends nothing, and asks whether it could.
    except (ProcessLookupError, OverflowError):
        return True
    except OSError:
        pass
    return False


def write_json(path: Path, content: Any, durable: bool = False) -> None:
    """Writes a JSON file whole or not at all; see `written_whole`.

    Raises:
        Unwritable: if it cannot be written.

    Examples:
        >>> write_json(Path("scores.json"), {"miou": 0.6})
    """
    with written_whole(path, durable=durable) as aside:
        aside.write_text(json.dumps(content, indent=1), encoding="utf-8")
