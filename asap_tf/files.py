"""Files that appear whole or not at all."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """A path to write to, beside `path` and with its suffix, renamed to it when all went well.

    Args:
        path: The file's final name. What it held stays until the block has ended.

    Yields:
        The path to write to; removed if the block fails.

    Example:
        >>> with written_whole(Path("scores.json")) as aside:
        ...     aside.write_text("{}")
    """
    aside = path.with_name(f".{path.stem}.{os.getpid()}{path.suffix}")
    try:
        yield aside
        os.replace(aside, path)
    finally:
        aside.unlink(missing_ok=True)
