"""What it takes to use an exported network: memory, time on top of the runtime, video, scoring.

    python benchmarks/serving.py export/asap_int8.tflite [--video CLIP] [--data ROOT]

Prints one table; the last column is what the figure should be. Without `--video` a street is
rendered that the camera pans over; without `--data` only a Keras model is scored, an untrained ASAP
of 19 classes, on rendered streets. Memory is that of processes which do nothing else. Rates and
times are paired: what is compared runs in turn, in the same process, and the ratio is the median
over the rounds with its 95 % interval. "Processor time" of a part of the video's way is on one
thread, and the network's on all of its own: shares of it say what is left to gain.
"""

from __future__ import annotations

import itertools
import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click
import cv2
import numpy as np
from numpy.typing import ArrayLike
from serving_process import WAYS, size_of
from tqdm import tqdm

from asap_tf.benchmark.machine import this_machine
from asap_tf.benchmark.markdown import machine_lines, table, warning_lines
from asap_tf.benchmark.statistics import speedup
from asap_tf.core.errors import AsapError
from asap_tf.data.video import open_video
from asap_tf.data.video_writer import video_file
from asap_tf.inference.files import predict_inputs
from asap_tf.inference.visualize import overlay
from asap_tf.runtime import Segmenter, load
from asap_tf.streets import render, write_streets

Row = dict[str, Any]
"""`what` was measured, its `value` as a number, that as `text`, and its `limit` for people."""

AFTER = (10, 100, 500)
FULL_SIZE = (1024, 2048)
CLIP_SIZE, CLIP_FRAMES = (720, 1280), 200
HELD = 40
"""Frames of a clip that are kept to time the network alone, and the parts of the way."""


def in_a_process(task: str, *arguments: object) -> Any:
    """What `serving_process.py` finds.

    Raises:
        AsapError: if it fails, with its last line.
    """
    script = Path(__file__).with_name("serving_process.py")
    command = [sys.executable, str(script), task, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise AsapError(f"{' '.join(command)}: {done.stderr.strip().rpartition(chr(10))[2]}")
    return json.loads(done.stdout)


def memory_rows(artifact: Path, threads: int) -> list[Row]:
    """Resident memory while labeling frames, through asap-tf and without it."""
    rows = []
    for way, name, limit in (
        ("predict", "asap_tf.load and predict", "at most 250"),
        ("bare", "bare interpreter", ""),
    ):
        found = in_a_process("resident", way, artifact, threads, AFTER[-1])
        for count in AFTER:
            value = found["resident"][count - 1] / 1e6
            rows.append(row(f"{name}: resident after {count} frames, MB", value, limit, 0))
        rows.append(row(f"{name}: peak, MB", found["peak"] / 1e6, limit, 0))
    return rows


def allocation_rows(artifact: Path, threads: int) -> list[Row]:
    """New memory for each frame, once there have been some."""
    rows = []
    for way, name, limit in (
        ("predict_into", "predict(frame, out)", "Python's own objects"),
        ("predict_resized_into", "predict(frame, out), resized", "Python's own objects"),
        ("predict", "predict(frame)", "the labels"),
    ):
        found = in_a_process("allocations", way, artifact, threads, 100)
        rows.append(row(f"{name}: new memory a frame, KiB", found["bytes"] / 1024, limit, 1))
        rows.append(row(f"{name}: fresh pages a frame", found["pages"], "0", 2))
    return rows


def overhead_rows(artifact: Path, threads: int, rounds: int) -> list[Row]:
    """Time of `predict` over that of the bare interpreter, at the network's own size."""
    names = {"predict(frame)": "predict", "predict(frame, out)": "predict_into"}
    ways = {name: WAYS[way](str(artifact), threads) for name, way in names.items()}
    times = in_turn({"bare": WAYS["bare"](str(artifact), threads), **ways}, rounds, "predict")
    return [
        ratio_row(
            f"{name}: time over the interpreter's", times[name], times["bare"], "at most 1.05"
        )
        for name in names
    ]


def video_rows(artifact: Path, threads: int, clip: Path, folder: Path, rounds: int) -> list[Row]:
    """Rate of `predict` on a clip over the bare network's, and where the difference goes."""
    segmenter = load(artifact, threads)
    size = size_of(segmenter)
    with open_video(clip) as video:
        total = sum(1 for _ in video.decoded())
    frames = first_frames(clip)
    fitted = [cv2.resize(frame, size[::-1])[np.newaxis] for frame in frames]

    def bare() -> None:
        for frame in fitted:
            segmenter.network.labels(frame, size)

    ways: dict[str, Callable[[], object]] = {
        "bare": bare,
        "video": lambda: predict_inputs(segmenter, [clip], folder / "overlay"),
    }
    times = in_turn(ways, rounds, clip.name)
    bare_seconds = np.array(times["bare"]) / len(fitted)
    name = f"{clip.name}, {frames[0].shape[1]} x {frames[0].shape[0]}, {total} frames"
    rows = [
        row("bare network, frames a second", 1 / float(np.median(bare_seconds)), "", 1),
        ratio_row(
            f"{name}: rate over the bare network's",
            bare_seconds,
            np.array(times["video"]) / total,
            "at least 0.80",
        ),
    ]
    return rows + share_rows(segmenter, clip, frames, fitted, folder)


def share_rows(
    segmenter: Segmenter,
    clip: Path,
    frames: Sequence[np.ndarray],
    fitted: Sequence[np.ndarray],
    folder: Path,
) -> list[Row]:
    """Processor time of each part of a video's way, as a share of the network's."""
    palette, size = segmenter.palette, size_of(segmenter)
    height, width = frames[0].shape[:2]
    labels = [segmenter.predict(frame[np.newaxis])[0] for frame in frames]
    small = [segmenter.predict(frame)[0] for frame in fitted]
    overlays = [overlay(*pair, palette) for pair in zip(frames, labels, strict=True)]
    threads = cv2.getNumThreads()

    def decode() -> None:
        with open_video(clip) as video:
            for _ in zip(frames, video.frames(), strict=False):
                pass

    def resize() -> None:
        for frame, label in zip(frames, small, strict=True):
            cv2.resize(frame, size[::-1])
            cv2.resize(label, (width, height), interpolation=cv2.INTER_NEAREST_EXACT)

    def blend() -> None:
        for frame, label in zip(frames, labels, strict=True):
            overlay(frame, label, palette)

    def encode() -> None:
        with video_file(folder / "encoded.mp4", 25) as write:
            for picture in overlays:
                write(picture)

    def network() -> None:
        for frame in fitted:
            segmenter.network.labels(frame, size)

    parts = {"decoding": decode, "resizing": resize, "overlay": blend, "encoding": encode}
    # The network's threads keep turning for a while after its last frame.
    time.sleep(0.5)
    cv2.setNumThreads(1)
    seconds = {name: min(processor_seconds(part) for _ in range(3)) for name, part in parts.items()}
    cv2.setNumThreads(threads)
    whole = min(processor_seconds(network) for _ in range(3))
    return [
        row(f"{name}: processor time over the network's", value / whole, "", 3)
        for name, value in seconds.items()
    ]


def scoring_rows(artifact: Path, data: Path | None, folder: Path) -> list[Row]:
    """Peak memory of `asap-tf eval`, of a Keras model on full frames, and of the artifact."""
    from asap_tf import ASAPNet, open_dataset
    from asap_tf.saving import save_model

    streets = folder / "streets"
    write_streets(streets, train=0, val=4, size=FULL_SIZE)
    model = folder / "untrained.keras"
    save_model(ASAPNet(19, (None, None, 3)), model, open_dataset(streets).classes, FULL_SIZE)
    size = f"{FULL_SIZE[0]} x {FULL_SIZE[1]}"
    scales = [f"--scales={scale}" for scale in (0.75, 1, 1.5)]
    cases = [
        (f"eval, Keras, frames of {size}", model, streets, []),
        (f"eval, Keras, frames of {size}, 3 scales, mirrored", model, streets, [*scales, "--flip"]),
    ]
    if data is not None:
        cases.append((f"eval, {artifact.name}, {data.name}", artifact, data, []))
    rows = []
    for name, path, root, options in tqdm(cases, "scoring", leave=False, disable=None):
        peak = in_a_process("command", "eval", path, "--data", root, *options)
        rows.append(row(f"{name}: peak, MB", peak / 1e6, "at most 4000", 0))
    return rows


def first_frames(clip: Path) -> list[np.ndarray]:
    """Its first `HELD` frames, uint8 `(H, W, 3)`, RGB."""
    with open_video(clip) as video:
        return [frame.pixels for frame in itertools.islice(video.frames(), HELD)]


def rendered_clip(path: Path) -> Path:
    """A clip of a street that the camera pans over."""
    street = render(0, *FULL_SIZE).image
    height, width = CLIP_SIZE
    lefts = np.linspace(0, FULL_SIZE[1] - width, CLIP_FRAMES).astype(int)
    with video_file(path, 25) as write:
        for left in lefts:
            write(np.ascontiguousarray(street[-height:, left : left + width]))
    return path


def in_turn(
    ways: dict[str, Callable[[], object]], rounds: int, title: str
) -> dict[str, list[float]]:
    """Seconds of every way in every round, in an order that is drawn anew for each."""
    for way in ways.values():
        way()
    times: dict[str, list[float]] = {name: [] for name in ways}
    orders = random.Random(0)
    for _ in tqdm(range(rounds), title, leave=False, disable=None):
        for name in orders.sample(list(ways), len(ways)):
            start = time.perf_counter()
            ways[name]()
            times[name].append(time.perf_counter() - start)
    return times


def processor_seconds(run: Callable[[], object]) -> float:
    """Of all threads of this process."""
    start = time.process_time()
    run()
    return time.process_time() - start


def ratio_row(what: str, above: ArrayLike, below: ArrayLike, limit: str) -> Row:
    """The median of `above / below` over the rounds, with its interval."""
    ratio = speedup(above, below)
    found = row(what, ratio.median, limit, 3)
    if ratio.interval:
        found["text"] += f" ({ratio.interval[0]:.3f} to {ratio.interval[1]:.3f})"
    return found


def row(what: str, value: float, limit: str, decimals: int) -> Row:
    return {"what": what, "value": value, "text": f"{value:.{decimals}f}", "limit": limit}


@click.command()
@click.argument("artifact", type=click.Path(exists=True, path_type=Path))
@click.option("--video", type=click.Path(exists=True, path_type=Path), help="A clip to label.")
@click.option("--data", type=click.Path(exists=True, path_type=Path), help="To score ARTIFACT on.")
@click.option("--threads", default=2, show_default=True, help="Of the network.")
@click.option("--rounds", default=200, show_default=True, help="Of predict; of the video 1 in 25.")
def main(artifact: Path, video: Path | None, data: Path | None, threads: int, rounds: int) -> None:
    """What it takes to use ARTIFACT, a .tflite."""
    machine = this_machine()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        clip = video or rendered_clip(folder / "street.mp4")
        rows = [
            *memory_rows(artifact, threads),
            *allocation_rows(artifact, threads),
            *overhead_rows(artifact, threads, rounds),
            *video_rows(artifact, threads, clip, folder, max(1, rounds // 25)),
            *scoring_rows(artifact, data, folder),
        ]
    cells = [(r["what"], r["text"], r["limit"]) for r in rows]
    lines = table((artifact.name, "measured", "wanted"), cells, "lrl")
    print("\n".join([*machine_lines(machine), *warning_lines(machine), "", *lines]))


if __name__ == "__main__":
    main()
