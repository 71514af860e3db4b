"""`asap-tf label`: its rate by workers, and its memory.

    python benchmarks/label.py [--frames 10000] [--size 64x128] [--rounds 3] [--only rate|memory]

All on Streets, with an int8 LiteRT artifact of ASAP (random weights: they cost the same).

- rate: N frames by 1 worker with the whole command on one core, and by 2 workers with it on two,
  in turn. The steady rate is that between the first and the last tenth of the blocks; the whole
  includes Ray's start and the opening of the model.
- memory: the largest resident set of the command and of its workers, with a tenth of the frames and
  with all of them.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import dataclasses
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from PIL import Image

import asap_tf
from asap_tf.data.cityscapes import CLASSES
from asap_tf.streets import render

DIFFERENT = 100
"""Rendered frames; the others are copies of them under names of their own."""
BLOCK = 64


def labelers() -> Iterator[int]:
    """Processes of this machine that label frames, or get ready to."""
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            title = file.read_bytes()
            if title.startswith(b"ray::") and b"LabelWorker" in title:
                yield int(file.parent.name)


def write_model(path: Path, size: tuple[int, int]) -> None:
    import keras

    from asap_tf.export.graph import Deployment
    from asap_tf.export.writers import litert
    from asap_tf.saving import write_sidecar

    keras.utils.set_random_seed(0)
    classes = [dataclasses.asdict(c) for c in CLASSES]
    metadata = {"size": size, "batch": 1, "output": "labels", "classes": classes}
    deployment = Deployment(asap_tf.ASAPNet(len(CLASSES), (*size, 3)), size)
    litert.write(deployment, "int8", path, [render(i, *size).image for i in range(8)], metadata)
    write_sidecar(path, metadata)


def write_frames(folder: Path, count: int, size: tuple[int, int]) -> None:
    folder.mkdir()
    for i in range(count):
        target = folder / f"{i:07d}.jpg"
        if i < DIFFERENT:
            Image.fromarray(render(i, *size).image).save(target, quality=90)
        else:
            shutil.copy(folder / f"{i % DIFFERENT:07d}.jpg", target)


def command(model: Path, frames: Path, out: Path, count: int) -> list[str]:
    options = ["--out", str(out), "--workers", str(count), "--threads", "1", "--block", str(BLOCK)]
    return [sys.executable, "-m", "asap_tf.cli", "label", str(model), str(frames), *options]


def timed(model: Path, frames: Path, out: Path, count: int) -> tuple[float, float]:
    """Frames a second of so many workers on as many cores: steadily, and from start to end."""
    cores = sorted(os.sched_getaffinity(0))[:count]
    start = time.perf_counter()
    subprocess.run(
        command(model, frames, out, count),
        check=True,
        stdout=subprocess.DEVNULL,
        preexec_fn=lambda: os.sched_setaffinity(0, cores),
    )
    seconds = time.perf_counter() - start
    ends = sorted(shard.stat().st_mtime for shard in out.glob("shards/*.parquet"))
    tenth = max(1, len(ends) // 10)
    middle = ends[tenth:-tenth]
    steady = BLOCK * (len(middle) - 1) / (middle[-1] - middle[0])
    total = pq.ParquetFile(out / "manifest.parquet").metadata.num_rows
    shutil.rmtree(out)
    return steady, total / seconds


def rate(model: Path, frames: Path, place: Path, rounds: int) -> None:
    print("| round | 1 worker, 1 core: steadily, whole | 2 workers, 2 cores | ratios |")
    print("|---|---|---|---|")
    ratios = []
    for i in range(rounds):
        one, two = (timed(model, frames, place / "out", count) for count in (1, 2))
        ratios.append([b / a for a, b in zip(one, two, strict=True)])
        figures = [f"{a:.1f}, {b:.1f} frames/s" for a, b in (one, two)]
        print(f"| {i + 1} | {' | '.join(figures)} | {ratios[-1][0]:.2f}, {ratios[-1][1]:.2f} |")
    steady, whole = np.median(ratios, axis=0)
    print(
        f"\nmedian ratio of 2 workers to 1: {steady:.2f} steadily, {whole:.2f} from start to end\n"
    )


def largest(model: Path, source: Path, out: Path) -> tuple[float, float]:
    """Megabytes of the command, and of the larger one of two workers, at their largest."""
    process = subprocess.Popen(command(model, source, out, 2), stdout=subprocess.DEVNULL)
    peaks = collections.Counter[str]()
    while process.poll() is None:
        for name, pids in (("command", [process.pid]), ("worker", labelers())):
            for pid in pids:
                with contextlib.suppress(OSError):
                    found = re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
                    peaks[name] = max(peaks[name], int(found[1]) if found else 0)
        time.sleep(0.2)
    if process.returncode:
        raise SystemExit(f"the command ended with {process.returncode}")
    shutil.rmtree(out)
    return peaks["command"] / 1000, peaks["worker"] / 1000


def memory(model: Path, frames: Path, place: Path) -> None:
    paths = sorted(map(str, frames.iterdir()))
    print("| frames | command | a worker |")
    print("|---|---|---|")
    for count in (len(paths) // 10, len(paths)):
        source = place / f"{count}.txt"
        source.write_text("\n".join(paths[:count]))
        own, worker = largest(model, source, place / "out")
        print(f"| {count:,} | {own:.0f} MB | {worker:.0f} MB |")
    print()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--frames", type=int, default=10_000)
    parser.add_argument("--size", default="64x128", help="HEIGHTxWIDTH of frames and network")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", choices=["rate", "memory"])
    arguments = parser.parse_args()
    height, width = map(int, arguments.size.split("x"))
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        model, frames = place / "asap_int8.tflite", place / "frames"
        write_model(model, (height, width))
        write_frames(frames, arguments.frames, (height, width))
        if arguments.only in (None, "rate"):
            rate(model, frames, place, arguments.rounds)
        if arguments.only in (None, "memory"):
            memory(model, frames, place)


if __name__ == "__main__":
    main()
