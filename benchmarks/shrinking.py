"""Scores, mIoU and share of pixels, by how frames are shrunk: bilinearly, in steps, by averages.

    python benchmarks/shrinking.py --full CITYSCAPES --enlarge DATA [--every 24]

Both datasets have Cityscapes' 19 classes. Frames of the first are taken as they are, those of the
second enlarged 4 times, whose detail is then too coarse to alias; both with noise, as of a sensor.
Labels are compared at 512 x 1024 and 256 x 512.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

import asap_tf
from asap_tf.core.resize import resize_bilinear, resize_frame
from asap_tf.core.sizes import network_side, size_of_frame
from asap_tf.data import Dataset
from asap_tf.data.augment import add_noise
from asap_tf.data.images import read_pair
from asap_tf.inference.metrics import Scores, confusion_matrix

MODELS = ("asap_lite0_street", "asap_resnet18_half_street")
NOISE = (0, 15, 30)


def averaged(frame: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    return cv2.resize(frame, size[::-1], interpolation=cv2.INTER_AREA)


WAYS: dict[str, Callable[[np.ndarray, tuple[int, int]], np.ndarray]] = {
    "bilinear": resize_bilinear,
    "in steps": resize_frame,
    "mean of the area": averaged,
}


def print_rows(
    name: str, dataset: Dataset, split: str, every: int, sizes: list[int], factor: int
) -> None:
    pairs = dataset.pairs(split)[::every]
    for model in MODELS:
        segmenter = asap_tf.load(model)
        for side in sizes:
            for noise in NOISE:
                totals = np.zeros((len(WAYS), 19, 19), np.int64)
                for index, pair in enumerate(pairs):
                    frame, truth = read_pair(pair, dataset.encoding)
                    if factor == 1:
                        truth = np.ascontiguousarray(truth[1::2, 1::2])
                    if factor > 1:
                        frame = cv2.resize(
                            frame, None, fx=factor, fy=factor, interpolation=cv2.INTER_CUBIC
                        )
                    if noise:
                        frame = add_noise(frame, noise, np.random.default_rng(index))
                    height, width = map(network_side, size_of_frame(side, frame.shape[:2]))
                    for total, shrink in zip(totals, WAYS.values(), strict=True):
                        sized = shrink(frame, (height, width))
                        labels = segmenter.network.labels(sized[np.newaxis], truth.shape)[0]
                        total += confusion_matrix(truth, labels, 19)
                scores = [Scores.from_confusion(total, dataset.classes) for total in totals]
                found = [f"{100 * s.miou:.1f}, {100 * s.pixel_accuracy:.1f}" for s in scores]
                row = [name, model, f"{height} x {width}", str(noise), *found]
                print(f"| {' | '.join(row)} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--full", type=Path, required=True, help="frames of 1024 x 2048")
    parser.add_argument("--enlarge", type=Path, required=True, help="frames of 256 x 512")
    parser.add_argument("--every", type=int, default=24, help="of the latter's validation frames")
    arguments = parser.parse_args()
    print(f"| frames | model | network's size | noise | {' | '.join(WAYS)} |")
    print("|---|---|---|---:|---:|---:|---:|")
    full, small = (asap_tf.open_dataset(p) for p in (arguments.full, arguments.enlarge))
    print_rows("full", full, "train", 1, [512, 768], 1)
    print_rows("enlarged", small, "val", arguments.every, [768], 4)


if __name__ == "__main__":
    main()
