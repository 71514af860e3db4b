"""The folder that labels are written to: blocks, their shards, and the manifest of all shards."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import NonNegativeInt, PositiveInt, TypeAdapter

from asap_tf.core.errors import AsapError, UsageError, first_line
from asap_tf.core.files import remove_leftovers, write_json, written_whole
from asap_tf.core.locks import LOCK, locked
from asap_tf.core.optional import require
from asap_tf.labelling.source import Input

pa = require("pyarrow", "ray")
pc = require("pyarrow.compute", "ray")
pq = require("pyarrow.parquet", "ray")

_ROWS = 2**16
"""Rows of the manifest that are in memory at once."""

_NOT_STARTED = {LOCK, "tmp", "inputs.arrow"}
"""Names left by a command that was killed before it knew its inputs."""

_TRIES = 10
"""Workers that may die over one block; without a limit, one frame could block all the others."""


@dataclass(frozen=True)
class LabelJob:
    """The settings that a folder was started with, in its `job.json`.

    Attributes:
        source: Name of the source.
        digest: SHA-256 of the source's file; None for a folder.
        model: SHA-256 of the model.
        format: `"png"` or `"parquet"`.
        block: Number of inputs that are done, or lost with a worker, together.
        count: Number of all inputs.
        classes: Names of the classes, in the order of the manifest's shares.
    """

    source: str
    digest: str | None
    model: str
    format: str
    block: PositiveInt
    count: NonNegativeInt = 0
    classes: tuple[str, ...] = ()

    @property
    def blocks(self) -> int:
        """Number of blocks."""
        return -(-self.count // self.block)

    def schema(self, labels: bool) -> Any:
        """Columns of a shard, or of the manifest, which has no `labels`."""
        columns = {
            "number": pa.int64(),
            "path": pa.string(),
            "frame": pa.int64(),
            "state": pa.string(),
            "reason": pa.string(),
            "height": pa.int32(),
            "width": pa.int32(),
            "share": pa.list_(pa.float32()),
            "file": pa.string(),
            "model": pa.string(),
        }
        if labels:
            columns["labels"] = pa.binary()
        return pa.schema(columns, metadata={"classes": json.dumps(self.classes)})


class LabelFolder:
    """The files of one labeling, each written whole or not at all.

    Attributes:
        path: The folder. Holds `job.json`, `inputs.arrow`, `labels/BLOCK/NUMBER-NAME.png` (or the
            label maps in the shards), `shards/BLOCK.parquet`, `lock`, and, once all is done,
            `manifest.parquet`.
    """

    def __init__(self, path: Path):
        self.path = path
        self.manifest = path / "manifest.parquet"
        self._job = path / "job.json"
        self._inputs = path / "inputs.arrow"
        self._shards = path / "shards"
        self._scratch = path / "tmp"
        self._reader: Any = None

    def job(self) -> LabelJob | None:
        """The settings that the folder was started with; None if it is empty or does not exist.

        Raises:
            UsageError: if it holds something else.
        """
        if not self.path.exists():
            return None
        if not self.path.is_dir():
            raise UsageError(f"{self.path}: is a file; the labels need a folder")
        if not self._job.exists():
            names = {file.name for file in self.path.iterdir()}
            if all(name in _NOT_STARTED or name.startswith(".") for name in names):
                return None
            raise UsageError(f"{self.path}: holds other files already; give another `out`")
        try:
            job = TypeAdapter(LabelJob).validate_json(self._job.read_bytes(), strict=True)
            if self._batches().num_record_batches != job.blocks:
                raise ValueError("another number of inputs than in inputs.arrow")
        except Exception as error:
            problem = first_line(error)
            raise UsageError(f"{self._job}: damaged ({problem}); give another `out`") from error
        return job

    @contextlib.contextmanager
    def claimed(self) -> Iterator[None]:
        """Makes the folder, keeps other commands out of it, and removes half-written files.

        A folder in which nothing was started is removed again at the end.

        Raises:
            UsageError: if another command labels into it, or it cannot be written to.
        """
        with contextlib.ExitStack() as held:
            try:
                held.enter_context(locked(self.path, "labeling"))
            except OSError as error:
                raise UsageError(f"{self.path}: cannot be written to ({error.strerror})") from error
            remove_leftovers(self.path)
            shutil.rmtree(self._scratch, ignore_errors=True)
            try:
                yield
            finally:
                shutil.rmtree(self._scratch, ignore_errors=True)
                if not self._job.exists():
                    self._inputs.unlink(missing_ok=True)

    def start(self, job: LabelJob, inputs: Iterator[Input]) -> LabelJob:
        """Lists the inputs, and records the job with their count.

        Raises:
            AsapError: if it cannot be written.
        """
        schema, count = pa.schema({"path": pa.string(), "frame": pa.int64()}), 0
        with written_whole(self._inputs) as aside, pa.ipc.new_file(str(aside), schema) as writer:
            while block := list(islice(inputs, job.block)):
                paths, frames = zip(*block, strict=True)
                writer.write_batch(pa.record_batch([paths, frames], schema=schema))
                count += len(block)
        job = replace(job, count=count)
        write_json(self._job, asdict(job))
        return job

    def inputs(self, block: int) -> list[Input]:
        """The inputs of a block.

        Raises:
            AsapError: if their list is damaged.
        """
        try:
            columns = self._batches().get_batch(block).columns
            return [Input(*row) for row in zip(*(c.to_pylist() for c in columns), strict=True)]
        except Exception as error:
            # Of a damaged file pyarrow raises errors of any kind.
            raise AsapError(f"{self._inputs}: damaged; give another `out`") from error

    def _batches(self) -> Any:
        """The reader of the list of inputs, a batch a block."""
        if self._reader is None:
            self._reader = pa.ipc.open_file(pa.OSFile(str(self._inputs)))
        return self._reader

    def shard(self, block: int) -> Path:
        """The file whose existence says that a block is done."""
        return self._shards / f"{block:09d}.parquet"

    def pending(self, job: LabelJob) -> np.ndarray:
        """Numbers of the blocks that are not done, int64, ascending."""
        pending = np.ones(job.blocks, bool)
        if self._shards.exists():
            for entry in os.scandir(self._shards):
                match = re.fullmatch(r"(\d{9,15})\.parquet", entry.name)
                if match and int(match[1]) < job.blocks:
                    pending[int(match[1])] = False
        return np.flatnonzero(pending)

    def mark_started(self, block: int) -> Path:
        """Counts the workers that have started a block, in a file to remove when it is done.

        Raises:
            AsapError: if so many workers have died over it that its frames must be the reason.
        """
        mark = self._scratch / f"{block:09d}.started"
        try:
            self._scratch.mkdir(parents=True, exist_ok=True)
            with mark.open("a") as file:
                file.write("x")
            count = mark.stat().st_size
        except OSError as error:
            raise AsapError(f"{mark}: cannot be written ({error.strerror or error})") from error
        if count > _TRIES:
            first, *_, last = [inputs.path for inputs in self.inputs(block)] * 2
            raise AsapError(
                f"{_TRIES} workers have died over block {block}, {first} to {last}: too little "
                "memory, or a frame in it that crashes them; a `block` of 1 into another `out` "
                "finds it"
            )
        return mark

    def put(self, path: Path, content: bytes, writer: str) -> None:
        """Writes a file whole, under a name of its own until it is complete.

        Args:
            path: Final path of the file, within the folder.
            content: Its bytes.
            writer: Name of the worker, which no other has.

        Raises:
            AsapError: if it cannot be written.
        """
        aside = self._scratch / writer / path.name
        try:
            aside.parent.mkdir(parents=True, exist_ok=True)
            path.parent.mkdir(parents=True, exist_ok=True)
            aside.write_bytes(content)
            os.replace(aside, path)
        except OSError as error:
            raise AsapError(f"{path}: cannot be written ({error.strerror or error})") from error

    def label_map_file(self, block: int, number: int, path: str) -> Path:
        """Where the label map of an input is written.

        Args:
            block: Number of the input's block.
            number: Number of the input in the whole source.
            path: Path or URI of the input.
        """
        stem = re.sub(r"[^\w.-]", "_", path.rstrip("/").rpartition("/")[2].rpartition(".")[0])
        # File systems count bytes.
        stem = stem.encode()[-100:].decode(errors="ignore")
        return self.path / "labels" / f"{block:09d}" / f"{number:09d}-{stem}.png"

    def commit(
        self, job: LabelJob, block: int, rows: Sequence[dict[str, Any]], writer: str
    ) -> None:
        """Writes the shard of a block, after all its label maps.

        Raises:
            AsapError: if it cannot be written.
        """
        sink = pa.BufferOutputStream()
        schema = job.schema(labels=job.format == "parquet")
        pq.write_table(pa.Table.from_pylist(list(rows), schema), sink, compression="zstd")
        self.put(self.shard(block), sink.getvalue(), writer)

    def merge(self, job: LabelJob) -> dict[str, int]:
        """Writes the manifest: the shards in the order of their inputs, without label maps.

        Returns:
            Inputs by their state.

        Raises:
            AsapError: if a shard is damaged, or the manifest cannot be written.
        """
        schema, counts = job.schema(labels=False), {"labelled": 0, "failed": 0}
        with written_whole(self.manifest) as aside, pq.ParquetWriter(aside, schema) as writer:
            tables: list[Any] = []
            for block in range(job.blocks):
                table = self._rows(job, block)
                for state in counts:
                    counts[state] += pc.sum(pc.equal(table["state"], state)).as_py()
                tables.append(table)
                if len(tables) * job.block >= _ROWS or block == job.blocks - 1:
                    writer.write_table(pa.concat_tables(tables))
                    tables.clear()
        return counts

    def _rows(self, job: LabelJob, block: int) -> Any:
        """The rows of a block, without label maps."""
        schema, file = job.schema(labels=False), self.shard(block)
        first = block * job.block
        wanted = np.arange(first, min(first + job.block, job.count))
        try:
            table = pq.ParquetFile(file).read(columns=schema.names).cast(schema)
            found = table["number"].to_numpy()
        except Exception as error:
            raise AsapError(
                f"{file}: damaged; remove it, and start again to label its inputs"
            ) from error
        if not np.array_equal(found, wanted):
            raise AsapError(f"{file}: of another labeling; remove it, and start again")
        return table

    def first_reason(self) -> str:
        """Path of the first failed input, and the reason."""
        failed = pq.read_table(self.manifest, filters=[("state", "=", "failed")])
        return f"{failed['path'][0]}: {failed['reason'][0]}"
