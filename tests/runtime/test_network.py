from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest

from asap_tf.core.errors import AsapError, UsageError
from asap_tf.runtime.network import FixedNetwork, Signature, TensorSpec, signature_of

FRAMES = TensorSpec("frames", "uint8", (2, 32, 64, 3))


class ByHand(FixedNetwork):
    """Logits, or labels, that a loop can tell from the frames; counts its calls."""

    format = "by hand"

    def __init__(self, batch, num_classes=None):
        super().__init__(Signature(batch, (32, 64), num_classes), "by hand")
        self.calls = 0

    def run(self, frames):
        self.calls += 1
        assert frames.shape == (self.batch, *self.size, 3) and frames.flags.c_contiguous
        if self.num_classes is None:
            return frames[..., 0]
        return np.stack([frames[..., c % 3] / (c + 1) for c in range(self.num_classes)], -1).astype(
            np.float32
        )


def frames(count):
    return np.random.default_rng(0).integers(0, 256, (count, 32, 64, 3), np.uint8)


@pytest.mark.parametrize(("batch", "count", "calls"), [(1, 3, 3), (2, 3, 2), (4, 1, 1), (3, 6, 2)])
def test_any_number_of_frames_goes_through_a_fixed_batch(batch, count, calls):
    network, x = ByHand(batch), frames(count)
    np.testing.assert_array_equal(network.labels(x, (32, 64)), x[..., 0])
    assert network.calls == calls
    # Every other column: not contiguous.
    np.testing.assert_array_equal(network.labels(x[:, :, ::-1], (32, 64)), x[:, :, ::-1, 0])


def test_frames_are_resized_batch_by_batch():
    network, x = ByHand(2), frames(5)
    doubled = x.repeat(2, axis=1).repeat(2, axis=2)
    expected = np.stack([cv2.resize(frame, (64, 32))[..., 0] for frame in doubled])
    np.testing.assert_array_equal(network.labels(doubled, (32, 64)), expected)
    np.testing.assert_array_equal(network.labels(x[::-1], (32, 64)), x[::-1, ..., 0])


def test_labels_are_written_where_they_are_wanted():
    network, x = ByHand(2), frames(3)
    for size in ((32, 64), (48, 50)):
        out = np.zeros((3, *size), np.uint8)
        assert network.labels(x, size, out) is out
        np.testing.assert_array_equal(out, network.labels(x, size))


def test_threads_do_not_overwrite_each_other_s_frames():
    """Each thread waits, with its frame prepared, until the other has prepared its own."""

    class Slow(ByHand):
        ready = threading.Barrier(2, timeout=10)

        def run(self, frames):
            self.ready.wait()
            return super().run(frames)

    network, x = Slow(1), frames(2).repeat(2, axis=1).repeat(2, axis=2)
    with ThreadPoolExecutor(2) as pool:
        found = pool.map(lambda i: network.labels(x[i : i + 1], (32, 64)), range(2))
        for labels, frame in zip(found, x, strict=True):
            np.testing.assert_array_equal(labels[0], cv2.resize(frame, (64, 32))[..., 0])


@pytest.mark.parametrize("size", [(64, 128), (48, 50), (30, 100), (16, 16), (1, 1)])
def test_labels_take_the_nearest_pixel(size):
    x = frames(1)
    rows, columns = ((np.arange(n) + 0.5) * m / n for n, m in zip(size, (32, 64), strict=True))
    labels = ByHand(1).labels(x, size)
    assert labels.shape == (1, *size) and labels.dtype == np.uint8
    # Where a sample falls on the edge between two pixels, either is the nearest.
    nearest = [
        x[0, (rows - dy).astype(int)][:, (columns - dx).astype(int), 0]
        for dy in (0, 1e-9)
        for dx in (0, 1e-9)
    ]
    assert (labels == nearest).any(axis=0).all()


@pytest.mark.parametrize("num_classes", [1, 4, 19])
def test_logits_are_resized_before_anything_else(num_classes):
    import tensorflow as tf

    x, size = frames(3), (50, 100)
    logits = ByHand(3, num_classes).run(x)
    resized = tf.image.resize(logits, size, "bilinear").numpy()
    network = ByHand(2, num_classes)
    assert (network.labels(x, size) == resized.argmax(-1)).mean() >= 0.999
    expected = tf.nn.softmax(resized).numpy()
    np.testing.assert_allclose(network.probabilities(x, size), expected, atol=1e-3)
    same_size = network.probabilities(x, (32, 64))
    np.testing.assert_allclose(same_size, tf.nn.softmax(logits).numpy(), atol=1e-6)


def test_labels_have_no_probabilities():
    with pytest.raises(UsageError, match="labels and no probabilities"):
        ByHand(1).probabilities(frames(1), (32, 64))


def test_signatures_of_exports():
    labels = TensorSpec("l", "uint8", (2, 32, 64))
    logits = TensorSpec("l", "float32", [2, 32, 64, 19])
    sure = TensorSpec("l", "uint8", (2, 2, 32, 64))
    assert signature_of(Path("a"), [FRAMES], [labels]) == (2, (32, 64), None, False)
    assert signature_of(Path("a"), [FRAMES], [sure]) == (2, (32, 64), None, True)
    assert signature_of(Path("a"), [FRAMES], [logits]) == (2, (32, 64), 19, False)


@pytest.mark.parametrize(
    ("inputs", "outputs", "message"),
    [
        ([FRAMES], [], r"takes frames uint8 \(2, 32, 64, 3\) and gives nothing"),
        ([FRAMES, FRAMES], [], "and gives nothing"),
        ([], [FRAMES, FRAMES], "takes nothing"),
        (
            [TensorSpec("data", "float32", ["N", 3, None, 224])],
            [TensorSpec("prob", "float32", [1, 1000])],
            r"takes data float32 \(\?, 3, \?, 224\) and gives prob float32 \(1, 1000\)",
        ),
        ([FRAMES], [TensorSpec("l", "uint8", (2, 16, 32))], "gives l uint8"),
        ([FRAMES], [TensorSpec("l", "int64", (2, 32, 64))], "gives l int64"),
        ([FRAMES], [TensorSpec("l", "uint8", (2, 3, 32, 64))], "gives l uint8"),
        ([FRAMES], [TensorSpec("l", "float32", (2, 32, 64))], "gives l float32"),
        ([FRAMES], [TensorSpec("l", "float32", (2, 32, 64, None))], "gives l float32"),
        ([FRAMES], [TensorSpec("l", "float32", (2, 32, 64, 1000))], "gives l float32"),
    ],
)
def test_foreign_signatures(inputs, outputs, message):
    with pytest.raises(AsapError, match=f"a.onnx: not a segmentation network as .*{message}"):
        signature_of(Path("a.onnx"), inputs, outputs)
