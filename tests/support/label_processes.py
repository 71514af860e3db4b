"""Processes of `asap-tf label`, found and killed on Linux, and what became of their inputs."""

from __future__ import annotations

import collections
from pathlib import Path

import pyarrow.parquet as pq


def labelers(pid: int) -> list[int]:
    """Processes below one that label frames, or get ready to."""
    children = collections.defaultdict(list)
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = status.read_text().rpartition(")")[2].split()[1]
        except OSError:
            continue
        children[int(parent)].append(int(status.parent.name))
    found, waiting = [], [pid]
    while waiting:
        below = children[waiting.pop()]
        found += [child for child in below if title(child).startswith(b"ray::")]
        waiting += below
    return [child for child in found if b"LabelWorker" in title(child)]


def title(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def manifest_faults(out: Path, paths: list[str]) -> list[str]:
    """Differences between a manifest and the inputs that it should name, each once."""
    table = pq.read_table(out / "manifest.parquet", columns=["path", "state", "file"])
    rows = table.to_pylist()
    counts = collections.Counter(row["path"] for row in rows)
    files = [row["file"] for row in rows if row["state"] == "labelled"]
    return [
        *(f"{path} is lost" for path in paths if path not in counts),
        *(f"{path} is in it {count} times" for path, count in counts.items() if count > 1),
        *(f"{file} is shared" for file, n in collections.Counter(files).items() if n > 1),
        *(f"{file} is missing" for file in files if not (out / file).is_file()),
    ]
