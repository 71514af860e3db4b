from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

import asap_tf
from asap_tf.core.resize import resize_frame


def frames(count, height=64, width=96):
    return np.random.default_rng(height).integers(0, 256, (count, height, width, 3), np.uint8)


@pytest.mark.parametrize("output", ["labels", "logits"])
@pytest.mark.parametrize("size", [(64, 96), (90, 130)])
def test_labels_stay_when_the_next_frames_come(exported, output, size):
    segmenter = asap_tf.load(exported / f"{output}.tflite")
    x = frames(6, *size)
    first = segmenter.predict(x[:3])
    kept = first.copy()
    second = segmenter.predict(x[3:])
    np.testing.assert_array_equal(first, kept)
    assert (first != second).any()
    np.testing.assert_array_equal(segmenter.predict(x), np.concatenate([first, second]))


def test_probabilities_stay_when_the_next_frames_come(exported):
    segmenter = asap_tf.load(exported / "logits.tflite")
    x = frames(4)
    first = segmenter.probabilities(x[:2])
    kept = first.copy()
    assert (segmenter.probabilities(x[2:]) != first).any()
    np.testing.assert_array_equal(first, kept)


@pytest.mark.parametrize("size", [(64, 96), (128, 192)])
def test_a_frame_takes_no_new_array(exported, size):
    """Its labels alone would be 6 KiB or more; a generator and a few views are left."""
    segmenter = asap_tf.load(exported / "labels.tflite")
    x = frames(1, *size)
    out = segmenter.predict(x)
    tracemalloc.start()
    try:
        peaks = []
        for _ in range(5):
            tracemalloc.reset_peak()
            before, _ = tracemalloc.get_traced_memory()
            segmenter.predict(x, out)
            peaks.append(tracemalloc.get_traced_memory()[1] - before)
    finally:
        tracemalloc.stop()
    assert min(peaks) < 4096


@pytest.mark.parametrize("size", [(128, 192), (50, 70), (33, 300)])
def test_frames_of_any_size_are_brought_to_that_of_the_network(exported, size):
    segmenter = asap_tf.load(exported / "logits.tflite")
    x = frames(3, *size)
    resized = np.stack([resize_frame(frame, (64, 96)) for frame in x])
    labels = segmenter.network.labels(x, (64, 96))
    np.testing.assert_array_equal(labels, segmenter.predict(resized))
    assert segmenter.probabilities(x).shape == (3, *size, 5)
