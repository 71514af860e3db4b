"""Rate of `predict` on a folder of photos, over that of `bench` on one of them.

    python benchmarks/folder.py export/asap_int8.tflite [--photos 200] [--rounds 6]

Both run in turn, in this process. `network` and `jpeg` are the rows of `bench`: the network alone,
and from the file to the labels, one step after the other. The folder's photos are read, labeled and
written. Processor time, of all threads, says what is left to gain.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from asap_tf.benchmark.artifact import ArtifactSpec, lead_in, write_source
from asap_tf.benchmark.machine import this_machine
from asap_tf.benchmark.markdown import machine_lines, table, warning_lines
from asap_tf.benchmark.statistics import speedup
from asap_tf.inference.files import predict_inputs
from asap_tf.runtime import load

SIZE = (720, 1280)
RUNS = 30
"""Of each row of `bench` in a round."""

KINDS = (("ids", "png"), ("overlay", "jpg"), ("overlay", "png"))


def spent(run: Callable[[], object], count: int) -> tuple[float, float]:
    """Seconds, and seconds of the processor, of each of so many runs."""
    start, processor = time.perf_counter(), time.process_time()
    run()
    return (time.perf_counter() - start) / count, (time.process_time() - processor) / count


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("artifact", type=Path)
    parser.add_argument("--photos", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=6)
    arguments = parser.parse_args()
    machine = this_machine()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_source(folder, SIZE)
        rows = ArtifactSpec(arguments.artifact, folder).open().rows
        segmenter = load(arguments.artifact)
        photos = folder / "photos"
        photos.mkdir()
        for number in range(arguments.photos):
            shutil.copy(folder / "source.jpg", photos / f"{number:04d}.jpg")

        def repeated(row: str) -> Callable[[], None]:
            def run() -> None:
                for _ in range(RUNS):
                    rows[row]()

            return run

        def predicted(mode: str, format: str) -> Callable[[], object]:
            out = folder / f"{mode}-{format}"
            return lambda: predict_inputs(segmenter, [photos], out, mode, False, True, format)

        ways: dict[str, tuple[Callable[[], object], int]] = {
            row: (repeated(row), RUNS) for row in ("network", "jpeg")
        }
        for mode, format in KINDS:
            ways[f"{mode}, {format}"] = (predicted(mode, format), arguments.photos)
        lead_in(rows["network"])
        rounds = [
            {way: spent(run, count) for way, (run, count) in ways.items()}
            for _ in range(arguments.rounds + 1)
        ][1:]

    cells = []
    found = {way: np.array([times[way] for times in rounds]) for way in ways}
    for way, times in found.items():
        wall, processor = np.median(times, axis=0)
        ratios = [speedup(found[row][:, 0], times[:, 0]).median for row in ("network", "jpeg")]
        cells.append(
            [way, f"{1 / wall:.1f}", f"{1000 * processor:.1f}", *(f"{r:.2f}" for r in ratios)]
        )
    head = ["what", "frames a second", "processor, ms", "over network", "over jpeg"]
    lines = table(head, cells, "lrrrr")
    print("\n".join([*machine_lines(machine), *warning_lines(machine), "", *lines]))


if __name__ == "__main__":
    main()
