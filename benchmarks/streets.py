"""Streets: frames a second on one core, and what color alone tells about the classes.

    python benchmarks/streets.py [--frames 100]

The color classifier sees one pixel at a time: a histogram of 32 x 32 x 32 colors per class,
learned on every pixel of the training frames, gives each pixel its likeliest class - with the
classes as common as they are, or all equally common.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np

from asap_tf.core.system import available_cores
from asap_tf.data.cityscapes import CLASSES, LABEL_ID_ENCODING
from asap_tf.inference.metrics import Scores, confusion_matrix
from asap_tf.streets import render, write_streets

BITS = 5


def color_bins(image: np.ndarray) -> np.ndarray:
    red, green, blue = (image >> (8 - BITS)).astype(np.int64).transpose(2, 0, 1)
    return (red << 2 * BITS) | (green << BITS) | blue


def color_classifier_scores(train: range, val: range, height: int, width: int) -> dict[str, Scores]:
    """Scores of the color classifier on frames with the given seeds, by kind of prior."""
    classes = len(CLASSES)
    counts = np.zeros((classes, 1 << 3 * BITS))
    for seed in train:
        frame = render(seed, height, width)
        truth = LABEL_ID_ENCODING.decode(frame.label_ids)
        known = truth < classes
        cell = truth[known].astype(np.int64) << 3 * BITS | color_bins(frame.image)[known]
        counts += np.bincount(cell, minlength=counts.size).reshape(counts.shape)
    rules = {
        "as common as they are": counts.argmax(0),
        "equally common": (counts / counts.sum(1, keepdims=True)).argmax(0),
    }
    matrices = dict.fromkeys(rules, np.zeros((classes, classes), np.int64))
    for seed in val:
        frame = render(seed, height, width)
        truth = LABEL_ID_ENCODING.decode(frame.label_ids)
        for name, rule in rules.items():
            guess = rule[color_bins(frame.image)].astype(np.uint8)
            matrices[name] = matrices[name] + confusion_matrix(truth, guess, classes)
    return {name: Scores.from_confusion(matrix, CLASSES) for name, matrix in matrices.items()}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--frames", type=int, default=100, help="frames for each measurement")
    frames = parser.parse_args().frames
    cv2.setNumThreads(1)

    for seed in range(20):
        render(seed)  # fills the tables that are made once per process
    start = time.process_time()
    for seed in range(frames):
        render(seed)
    print(f"render 512 x 1024: {frames / (time.process_time() - start):.1f} frames/s on one core")

    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        write_streets(Path(folder) / "streets", train=frames, val=0)
        seconds = time.perf_counter() - start
    rate, cores = frames / seconds, available_cores()
    print(f"write_streets: {rate:.1f} frames/s on {cores} cores, PNGs and process start included")

    train, val = range(10_000, 10_000 + frames), range(20_000, 20_000 + max(1, frames // 4))
    for name, scores in color_classifier_scores(train, val, 512, 1024).items():
        print(f"color classifier, classes {name}: {100 * scores.miou:.1f} mIoU")


if __name__ == "__main__":
    main()
