"""The frames to label, as a stream of inputs from a folder, a video, a list or a table's column."""

from __future__ import annotations

import hashlib
import io
import logging
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from asap_tf.core.errors import AsapError, UsageError, first_line, nearest, shown
from asap_tf.core.optional import require
from asap_tf.data.frames import IMAGE_SUFFIXES
from asap_tf.data.video import is_video, open_video

fsspec = require("fsspec", "ray")
datasets = require("pyarrow.dataset", "ray")

_LOGGER = logging.getLogger("asap_tf")

SCHEMES = {"file", "http", "https", "s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "memory"}
"""Stores that a path may lie in. Others of fsspec open archives, run templates, or hand on."""

_LONGEST_LINE = 1 << 16


class Input(NamedTuple):
    """One frame to label.

    Attributes:
        path: Absolute path or URI of the image or video; None where a table's cell is empty.
        frame: Number of the frame in the video, from 0; None for an image.
    """

    path: str | None
    frame: int | None = None


class Source:
    """A folder, a video, a list of paths or a column of them, wherever fsspec reaches.

    Args:
        source: `FOLDER`, for the images in it and its subfolders; `VIDEO`, on a disk; `LIST`, a
            text file with a path or URI a line; `TABLE.parquet:COLUMN`, a file or a folder of
            them. Relative paths in them start in the current folder.

    Attributes:
        name: The source, with its path made absolute.

    Raises:
        UsageError: if there is nothing of that kind.

    Examples:
        >>> next(Source("frames").inputs())
        Input(path='/data/frames/a.jpg', frame=None)
    """

    def __init__(self, source: str):
        match = re.fullmatch(r"(.+\.parquet/?):(.+)", source)
        path, column = match.groups() if match else (source, "")
        self._column: str = column
        if problem := scheme_problem(path):
            raise UsageError(f"{path}: {problem}")
        try:
            self._files, self._root = fsspec.core.url_to_fs(path)
            is_folder = self._files.isdir(self._root)
            if not is_folder and not self._files.exists(self._root):
                raise UsageError(f"{path}: no such folder, video, list or table")
        except (ImportError, ValueError, OSError) as error:
            if isinstance(error, UsageError):
                raise
            raise UsageError(f"{path}: cannot be reached: {first_line(error)}") from error
        self._is_local = "://" not in path
        self._passed_over = 0
        self.name = f"{self._root if self._is_local else path}"
        suffix = Path(path).suffix.lower()
        if self._column:
            self.kind = "table"
            self.name += f":{self._column}"
        elif suffix == ".parquet":
            raise UsageError(f"{path}: say which column holds the paths: {path}:COLUMN")
        elif is_folder:
            self.kind = "folder"
        elif is_video(Path(path)):
            self.kind = "video"
            if not self._is_local:
                raise UsageError(f"{path}: a video has to be on a disk; copy or mount it")
        elif suffix in IMAGE_SUFFIXES:
            raise UsageError(f"{path}: a single image; asap-tf predict labels it")
        else:
            self.kind = "list"
        self._is_file = not is_folder

    def digest(self) -> str | None:
        """SHA-256 of the source's file, to detect a change; None for a folder."""
        if not self._is_file:
            return None
        digest = hashlib.sha256()
        with self._files.open(self._root) as file:
            while chunk := file.read(2**22):
                digest.update(chunk)
        return digest.hexdigest()

    def inputs(self) -> Iterator[Input]:
        """All inputs, always in the same order; in memory are at most the names of one folder.

        Raises:
            UsageError: if the source cannot be read as what it is, or holds nothing.
        """
        count = 0
        kinds = {
            "folder": self._in_folder,
            "video": self._in_video,
            "list": self._in_list,
            "table": self._in_table,
        }
        try:
            for found in kinds[self.kind]():
                yield found
                count += 1
        except OSError as error:
            where = error.filename or self.name
            raise UsageError(f"{where}: cannot be read ({error.strerror or error})") from error
        if self._passed_over:
            number = self._passed_over
            _LOGGER.warning("%s: passed over %d hidden or other files", shown(self.name), number)
        if not count:
            empty = "no images in this folder and its subfolders"
            raise UsageError(f"{self.name}: {empty if self.kind == 'folder' else 'is empty'}")

    def _in_folder(self, folder: str | None = None) -> Iterator[Input]:
        entries: list[dict[str, Any]] = self._files.ls(folder or self._root, detail=True)
        for entry in sorted(entries, key=lambda entry: entry["name"]):
            name = entry["name"].rstrip("/")
            if name.rpartition("/")[2].startswith("."):
                self._passed_over += 1
            # A link to a folder may lead back to where it lies.
            elif entry["type"] == "directory" and not entry.get("islink"):
                yield from self._in_folder(name)
            elif Path(name).suffix.lower() in IMAGE_SUFFIXES:
                try:
                    name.encode()
                except UnicodeEncodeError as error:
                    problem = "its name is not text in UTF-8; rename it"
                    raise UsageError(f"{name}: {problem}") from error
                yield Input(name if self._is_local else self._files.unstrip_protocol(name))
            else:
                self._passed_over += 1

    def _in_video(self) -> Iterator[Input]:
        with open_video(Path(self._root)) as video:
            count = 0
            for _ in video.decoded():
                yield Input(self._root, count)
                count += 1
            if video.damaged:
                _LOGGER.warning("%s: damaged; %d frames can be decoded", shown(self.name), count)

    def _in_list(self) -> Iterator[Input]:
        try:
            with self._files.open(self._root) as file:
                lines = io.TextIOWrapper(file, encoding="utf-8")
                while line := lines.readline(_LONGEST_LINE):
                    if len(line) == _LONGEST_LINE:
                        raise UsageError(f"{self.name}: not a list of paths: a line is too long")
                    if path := line.rstrip("\r\n"):
                        yield Input(_absolute(path))
        except UnicodeDecodeError as error:
            raise UsageError(
                f"{self.name}: not a list of paths: it is not text in UTF-8 ({error.reason})"
            ) from error

    def _in_table(self) -> Iterator[Input]:
        try:
            table = datasets.dataset(self._root, filesystem=self._files, format="parquet")
            if self._column not in table.schema.names:
                names = nearest(self._column, table.schema.names)
                raise UsageError(f"{self.name}: no column '{self._column}'; {names}")
            kind = table.schema.field(self._column).type
            if str(kind) not in ("string", "large_string", "string_view"):
                raise UsageError(f"{self.name}: the column holds {kind}; text is needed")
            for batch in table.to_batches(columns=[self._column], batch_readahead=1):
                for path in batch.column(0).to_pylist():
                    yield Input(path and _absolute(path))
        except AsapError:
            raise
        except Exception as error:
            raise UsageError(f"{self.name}: not a Parquet table, or a damaged one") from error


def scheme_problem(path: str) -> str | None:
    """Why a path is none that may be opened, or None.

    Examples:
        >>> scheme_problem("zip://a.png::b.zip")
        'a chain of stores (::), which is not opened'
    """
    if "://" not in path and not re.match(r"\w+::", path):
        return None
    if "::" in path:
        return "a chain of stores (::), which is not opened"
    scheme = path.partition("://")[0]
    if scheme not in SCHEMES:
        return f"of the scheme {shown(scheme, 40)}, not one of {', '.join(sorted(SCHEMES))}"
    return None


def _absolute(path: str) -> str:
    return path if "://" in path else os.path.abspath(path)
