"""Large frames: memory of 48 megapixels, accuracy in tiles, and the time to encode pictures.

    python benchmarks/frames.py --data CAMVID [--model asap_lite0_camvid] [--every 8]
    python benchmarks/frames.py --data CITYSCAPES --split train --every 4 --enlarge 4 \\
        --model asap_resnet18_half_street

Frames and their masks are enlarged, so that the truth of a large frame is known. Seconds are those
of a frame.
"""

from __future__ import annotations

import argparse
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

import asap_tf
from asap_tf.core.sizes import Size
from asap_tf.data.images import read_pair, write_image
from asap_tf.inference.metrics import Scores, confusion_matrix

PAGE = 4096


def resident() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE / 1e9


def peak_above(call: Callable[[], object]) -> float:
    """Gigabytes that a call takes above what is resident before it."""
    start = most = resident()
    ended = threading.Event()

    def watch() -> None:
        nonlocal most
        while not ended.wait(0.005):
            most = max(most, resident())

    watching = threading.Thread(target=watch)
    watching.start()
    call()
    ended.set()
    watching.join()
    return most - start


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--model", default="asap_lite0_camvid")
    parser.add_argument("--split", default="val")
    parser.add_argument("--every", type=int, default=8, help="of the split's frames")
    parser.add_argument("--enlarge", type=int, nargs="+", default=[1, 2, 4])
    arguments = parser.parse_args()
    dataset, segmenter = asap_tf.open_dataset(arguments.data), asap_tf.load(arguments.model)
    pairs = dataset.pairs(arguments.split)[:: arguments.every]

    def enlarged(factor: int, index: int) -> tuple[np.ndarray, np.ndarray]:
        frame, truth = read_pair(pairs[index], dataset.encoding)
        size = (frame.shape[1] * factor, frame.shape[0] * factor)
        larger = cv2.resize(frame, size, interpolation=cv2.INTER_CUBIC)
        return larger, cv2.resize(truth, size, interpolation=cv2.INTER_NEAREST_EXACT)

    ways: dict[str, tuple[Size | None, tuple[int, int] | None]] = {
        "the model's size": (segmenter.size, None),
        "size 2048, tiles of 1024": (2048, (1024, 128)),
        "tiles of 512": (None, (512, 128)),
        "tiles of 1024": (None, (1024, 128)),
    }
    print(f"| enlarged ({len(pairs)} frames) | {' | '.join(ways)} |")
    print("|---|---|---|---|---|")
    for factor in arguments.enlarge:
        row = []
        for segmenter.size, segmenter.tile in ways.values():
            matrix, seconds = np.zeros((len(dataset.classes),) * 2, np.int64), 0.0
            for index in range(len(pairs)):
                frame, truth = enlarged(factor, index)
                start = time.perf_counter()
                labels = segmenter.predict(frame[np.newaxis])[0]
                seconds += time.perf_counter() - start
                matrix += confusion_matrix(truth, labels, len(dataset.classes))
            score = Scores.from_confusion(matrix, dataset.classes).miou
            row.append(f"{score:.1%} ({seconds / len(pairs):.1f} s)")
        print(f"| {factor} times | {' | '.join(row)} |", flush=True)

    large = cv2.resize(enlarged(1, 0)[0], (8000, 6000))[np.newaxis]
    for way in ("the model's size", "tiles of 1024"):
        segmenter.size, segmenter.tile = ways[way]
        segmenter.predict(large[:, :1024, :1024])
        start = time.perf_counter()
        taken = peak_above(lambda: segmenter.predict(large))
        seconds = time.perf_counter() - start
        print(f"48 megapixels, {way}: {taken:.2f} GB above the start, {seconds:.1f} s", flush=True)

    picture = cv2.resize(enlarged(1, 0)[0], (1280, 720))
    with tempfile.TemporaryDirectory() as folder:
        for ending in ("png", "jpg", "webp"):
            start = time.process_time()
            for _ in range(10):
                write_image(Path(folder, f"a.{ending}"), picture)
            taken = 100 * (time.process_time() - start)
            print(f"{ending}, 1280 x 720: {taken:.1f} ms of a processor")


if __name__ == "__main__":
    main()
