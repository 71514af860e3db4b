"""Damages exported artifacts and counts the answers of `asap_tf.load` and `predict`.

    python tests/stress/damaged_artifacts.py EXPORT_FOLDER [--count 200] [--seed 0]

Truncations, flipped bytes and words set to all ones over all artifacts of a folder in turn, half of
them with the metadata that holds their checksums, half without. Each is opened in a process of its
own, as a user's would: it may neither crash nor hang nor show a traceback. Without a checksum a
flipped bit of a weight changes the labels; that is counted, but no fault. Ends with 1 if there is a
fault.
"""

from __future__ import annotations

import argparse
import collections
import hashlib
import resource
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from asap_tf.core.errors import AsapError, UsageError
from asap_tf.runtime import format_of, load
from asap_tf.saving import artifact_files, sidecar

LIMIT = 180
"""Seconds for a process: the probe's own limit, and TensorFlow's slow start, twice."""

MEMORY = 16 * 2**30
"""Bytes of address space for a process, so that a damaged length cannot take the machine down."""

ENDS = 65536
"""Bytes at either end of a file where every second change goes: most of the rest is weights."""

CLEAR = 3
OUTCOMES = ("clear error", "unchanged", "changed", "traceback", "crash", "hang")
FAULTS = OUTCOMES[3:]


@dataclass(frozen=True)
class Answer:
    outcome: str
    message: str


def damage(path: Path, rng: np.random.Generator) -> str:
    """Damages one file of an artifact; says how."""
    files = [file for file in artifact_files(path) if file.stat().st_size]
    file = files[rng.integers(len(files))]
    content = bytearray(file.read_bytes())
    if rng.random() < 0.3:
        length = int(rng.integers(len(content)))
        file.write_bytes(content[:length])
        return f"{file.name} cut to {length} of {len(content)} bytes"
    if rng.random() < 0.3:
        start = place(len(content), rng) // 4 * 4
        content[start : start + 4] = b"\xff\xff\xff\xff"[: len(content) - start]
        file.write_bytes(content)
        return f"4 bytes of {file.name} set to 255"
    count = int(rng.choice([1, 4, 64]))
    for _ in range(count):
        content[place(len(content), rng)] ^= int(rng.integers(1, 256))
    file.write_bytes(content)
    return f"{count} bytes of {file.name} flipped"


def place(length: int, rng: np.random.Generator) -> int:
    """Where to damage a file: every second time close to one of its ends."""
    position = int(rng.integers(length))
    if rng.random() < 0.5:
        return position
    near = position % min(ENDS, length)
    return near if rng.random() < 0.5 else length - 1 - near


def answer(path: Path, expected: str = "") -> Answer:
    """Opens an artifact and labels a frame, in a process of its own."""
    command = [sys.executable, __file__, "--open", str(path)]
    try:
        child = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT)
    except subprocess.TimeoutExpired:
        return Answer("hang", f"after {LIMIT} s")
    if child.returncode < 0:
        return Answer("crash", f"signal {-child.returncode}")
    if child.returncode == CLEAR:
        return Answer("clear error", child.stdout.strip())
    if child.returncode:
        return Answer("traceback", child.stderr.strip())
    labels = child.stdout.strip().rpartition("\n")[2]
    return Answer("unchanged" if labels == expected else "changed", labels)


def open_here(path: Path) -> int:
    """What the process of `answer` does: prints a hash of the labels, or the error."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    coarse = np.random.default_rng(0).integers(0, 256, (1, 8, 16, 3), np.uint8)
    try:
        labels = load(path).predict(coarse.repeat(16, axis=1).repeat(16, axis=2))
    except AsapError as error:
        print(error)
        return CLEAR
    print(hashlib.sha256(labels.tobytes()).hexdigest())
    return 0


def copy(source: Path, folder: Path, described: bool) -> Path:
    """A copy of an artifact, with or without its metadata."""
    target = folder / source.name
    if source.is_dir():
        shutil.copytree(source, target)
    else:
        for file in artifact_files(source):
            shutil.copy(file, folder)
        if sidecar(source).exists():
            shutil.copy(sidecar(source), folder)
    if not described:
        sidecar(target).unlink(missing_ok=True)
    return target


def artifacts(folder: Path) -> list[Path]:
    """All artifacts directly in a folder."""
    found = []
    for path in sorted(folder.iterdir()):
        try:
            if path.is_file() or (path / "saved_model.pb").exists():
                format_of(path)
                found.append(path)
        except UsageError:
            continue
    return found


def campaign(folder: Path, count: int, seed: int) -> tuple[collections.Counter, list[str]]:
    """Outcomes by (format, metadata beside, outcome), and a line on every case."""
    rng = np.random.default_rng(seed)
    sources = artifacts(folder)
    expected = {source: answer(source).message for source in sources}
    counts: collections.Counter = collections.Counter()
    lines = []
    for number in tqdm(range(count), "damaging", unit="artifact", disable=None):
        source = sources[number % len(sources)]
        described = bool(number // len(sources) % 2)
        with tempfile.TemporaryDirectory() as scratch:
            path = copy(source, Path(scratch), described)
            how = damage(path, rng)
            found = answer(path, expected[source])
        beside = "beside" if described and sidecar(source).exists() else "none"
        counts[source.name, beside, found.outcome] += 1
        message = found.message.replace(f"{scratch}/", "").replace("\n", " / ")
        lines.append(f"{source.name}, metadata {beside}: {how}: {found.outcome}: {message}")
    return counts, lines


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path, help="holds the artifacts")
    parser.add_argument("--count", type=int, default=200, help="damaged artifacts")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--log", type=Path, help="gets a line on every case")
    parser.add_argument("--open", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.open:
        return open_here(options.folder)
    counts, lines = campaign(options.folder, options.count, options.seed)
    if options.log:
        options.log.write_text("\n".join(lines) + "\n")
    print(f"| artifact | metadata | {' | '.join(OUTCOMES)} |\n|---|---|{'---:|' * len(OUTCOMES)}")
    rows = sorted({(name, beside) for name, beside, _ in counts})
    for name, beside in rows:
        cells = (str(counts[name, beside, outcome]) for outcome in OUTCOMES)
        print(f"| {name} | {beside} | {' | '.join(cells)} |")
    contained = sum("its runtime crashed on it" in line for line in lines)
    late = sum("labeling a frame timed out" in line for line in lines)
    print(f"\n{len(lines)} damaged artifacts; {contained} crashes and {late} hangs were a probe's")
    faults = [line for line in lines if any(f": {fault}: " in line for fault in FAULTS)]
    print("\n".join(faults))
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
