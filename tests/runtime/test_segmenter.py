from __future__ import annotations

import subprocess
import sys

import cv2
import numpy as np
import pytest

import asap_tf
from asap_tf.core import resize as resizing
from asap_tf.core.errors import AsapError, UsageError
from asap_tf.core.labels import LabelClass
from asap_tf.runtime import Network, Segmenter

CLASSES = tuple(LabelClass(f"c{i}", (10 * i, 0, 255), "things", i) for i in range(3))


class FakeNetwork(Network):
    """Labels by brightness; remembers what it was given."""

    format, runtime, batch, metadata = "keras", "by hand", None, {}

    def __init__(self, size=None, num_classes=3):
        self.size, self.num_classes = size, num_classes

    def labels(self, frames, size, out=None):
        self.frames = frames
        result = np.empty((len(frames), *size), np.uint8) if out is None else out
        for frame, target in zip(frames, result, strict=True):
            target[:] = cv2.resize(frame, size[::-1])[..., 0] // 86
        return result

    def probabilities(self, frames, size):
        return np.eye(3, dtype=np.float32)[self.labels(frames, size)]

    def logit_bands(self, frame, size):
        self.frames = frame[np.newaxis]
        logits = cv2.resize(frame, size[::-1]).astype(np.float32) / 64
        for start in range(0, size[0], 40):
            yield slice(start, min(start + 40, size[0])), logits[start : start + 40]


def frames(*shape):
    return np.random.default_rng(0).integers(0, 256, (*shape, 3)).astype("uint8")


def test_frames_are_brought_to_the_size_wanted():
    x = frames(2, 90, 130)
    network = FakeNetwork()
    labels = Segmenter(network, CLASSES, (64, 128)).predict(x)
    np.testing.assert_array_equal(network.frames, [cv2.resize(f, (128, 64)) for f in x])
    assert labels.dtype == np.uint8 and labels.shape == (2, 90, 130)


def test_without_a_size_the_network_runs_at_the_nearest_multiple_of_32():
    network = FakeNetwork()
    Segmenter(network, CLASSES).predict(frames(1, 90, 130))
    assert network.frames.shape == (1, 96, 128, 3)
    x = frames(1, 96, 128)
    Segmenter(network, CLASSES).predict(x)
    np.testing.assert_array_equal(network.frames, x)


def test_a_network_of_one_size_has_the_last_word():
    network = FakeNetwork((32, 64))
    segmenter = Segmenter(network, CLASSES, (96, 96))
    assert segmenter.size == (32, 64)
    x = frames(1, 90, 130)
    segmenter.probabilities(x, (32, 64))
    np.testing.assert_array_equal(network.frames, x)  # Which it brings to its size itself.
    with pytest.raises(UsageError, match="exported for 32x64 and cannot run at 64x64: leave"):
        segmenter.probabilities(frames(1, 90, 130), (64, 64))


def test_probabilities_at_another_size():
    network = FakeNetwork()
    probabilities = Segmenter(network, CLASSES).probabilities(frames(1, 64, 96), (32, 32))
    assert network.frames.shape == (1, 32, 32, 3) and probabilities.shape == (1, 64, 96, 3)


def test_palette_and_precision():
    segmenter = Segmenter(FakeNetwork(), CLASSES, metadata={"precision": "int8"})
    np.testing.assert_array_equal(segmenter.palette, [(0, 0, 255), (10, 0, 255), (20, 0, 255)])
    assert (segmenter.precision, segmenter.format) == ("int8", "keras")


@pytest.mark.parametrize(
    "bad",
    [
        np.zeros((4, 4, 3), "uint8"),
        np.zeros((1, 4, 4, 3)),
        np.zeros((1, 4, 4, 1), "uint8"),
        np.zeros((0, 4, 4, 3), "uint8"),
        "frames",
    ],
)
def test_refuses_frames(bad):
    for method in ("predict", "probabilities"):
        with pytest.raises(UsageError, match="frames must be uint8 RGB"):
            getattr(Segmenter(FakeNetwork(), CLASSES), method)(bad)


def test_labels_are_written_where_they_are_wanted():
    segmenter, x = Segmenter(FakeNetwork((32, 64)), CLASSES), frames(2, 90, 130)
    out = np.full((2, 90, 130), 77, np.uint8)
    assert segmenter.predict(x, out) is out
    np.testing.assert_array_equal(out, segmenter.predict(x))


@pytest.mark.parametrize(
    "out",
    [
        np.zeros((1, 90, 129), np.uint8),
        np.zeros((90, 130), np.uint8),
        np.zeros((1, 90, 130), np.int64),
        np.zeros((1, 90, 260), np.uint8)[:, :, ::2],
    ],
)
def test_refuses_a_place_that_labels_do_not_fit(out):
    with pytest.raises(UsageError, match=r"out must be contiguous uint8 of shape \(1, 90, 130\)"):
        Segmenter(FakeNetwork(), CLASSES).predict(frames(1, 90, 130), out)


def test_refuses_another_number_of_classes():
    with pytest.raises(UsageError, match="3 classes, but 2 are named"):
        Segmenter(FakeNetwork(), CLASSES[:2])


def test_labels_beyond_the_classes_are_an_error():
    segmenter = Segmenter(FakeNetwork(num_classes=None), CLASSES[:2])
    dark = np.full((1, 32, 32, 3), 100, np.uint8)
    assert segmenter.predict(dark).max() == 1
    with pytest.raises(AsapError, match="gave label 2, but 2 classes are named"):
        segmenter.predict(dark + 100)


def test_import_registers_without_loading_keras():
    code = "import sys, asap_tf; sys.exit('keras' in sys.modules or 'tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        asap_tf.nothing  # noqa: B018
    assert set(asap_tf.__all__) <= set(dir(asap_tf))


def test_a_length_keeps_the_aspect_and_the_size_may_be_set():
    network = FakeNetwork()
    segmenter = Segmenter(network, CLASSES, 128)
    for shape, wanted in (((90, 180), (64, 128)), ((200, 100), (128, 64)), ((30, 30), (128, 128))):
        segmenter.predict(frames(1, *shape))
        assert network.frames.shape[1:3] == wanted
    segmenter.size = (32, 96)
    segmenter.predict(frames(1, 90, 180))
    assert network.frames.shape[1:3] == segmenter.size == (32, 96)
    segmenter.size = (90, 180)
    segmenter.predict(frames(1, 45, 90))
    assert network.frames.shape[1:3] == (90, 180)
    with pytest.raises(UsageError, match="`size` 30x96: at least 32x32 is needed"):
        segmenter.size = (30, 96)
    with pytest.raises(UsageError, match="`size` 512: this model was exported for 32x64"):
        Segmenter(FakeNetwork((32, 64)), CLASSES).size = 512


def test_confidence_is_the_softmax_of_the_label_and_unknown_what_is_below():
    x = frames(2, 90, 130)
    segmenter = Segmenter(FakeNetwork(), CLASSES, (64, 96))
    logits = np.stack([cv2.resize(cv2.resize(f, (96, 64)), (130, 90)) for f in x]) / 64
    softmax = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    confidence = segmenter.confidence(x)
    assert confidence.dtype == np.float32 and confidence.shape == (2, 90, 130)
    np.testing.assert_allclose(confidence, softmax.max(-1), atol=1e-6)
    for least in (0.0, 0.5, 1.0):
        out = np.zeros((2, 90, 130), np.uint8)
        assert segmenter.predict(x, out, unknown_below=least) is out
        np.testing.assert_array_equal(out, np.where(confidence < least, 255, logits.argmax(-1)))
    for least in (-0.1, 1.1, float("nan")):
        with pytest.raises(UsageError, match="`unknown_below` .*: a number from 0 to 1 is needed"):
            segmenter.predict(x, unknown_below=least)


def test_tiles_run_at_the_frames_own_size():
    x = frames(2, 90, 130)
    network = FakeNetwork()
    segmenter = Segmenter(network, CLASSES, 32)
    segmenter.tile = (64, 16)
    # A network that looks at single pixels does not see the tiles.
    np.testing.assert_array_equal(segmenter.predict(x), x.argmax(-1))
    assert network.frames.shape == (1, 64, 64, 3)
    for tile, message in [
        ((40, 8), "`tile` 40: a multiple of 32 is needed"),
        ((64, 64), "`overlap` 64: 0 to 63 is possible"),
        ((64, -1), "`overlap` -1: 0 to 63 is possible"),
    ]:
        with pytest.raises(UsageError, match=message):
            segmenter.tile = tile
    assert segmenter.network_size((90, 40)) == (64, 40)
    segmenter.tile = None
    segmenter.predict(x)
    assert network.frames.shape == (2, 32, 32, 3)
    with pytest.raises(UsageError, match="`tile` 64: this model runs at 32x64 only"):
        Segmenter(FakeNetwork((32, 64)), CLASSES).tile = (64, 16)


@pytest.mark.parametrize("shape", [(90, 130), (333, 517)])
@pytest.mark.parametrize(("size", "sized"), [(128, (96, 128)), ((96, 160), (96, 160))])
def test_tiles_are_cut_from_frames_at_a_size_that_was_set(shape, size, sized, monkeypatch):
    monkeypatch.setattr(resizing, "_BAND", 10 * 517 * 3)
    (x,) = frames(1, *shape)
    network = FakeNetwork()
    segmenter = Segmenter(network, CLASSES)
    segmenter.size, segmenter.tile = size, (64, 16)
    # A network that looks at single pixels does not see the tiles.
    seen = resizing.resize_frame(x, sized).astype(np.float32) / 64
    logits = np.exp(cv2.resize(seen, shape[::-1]))
    found = segmenter.confidence(x[None])[0]
    np.testing.assert_allclose(found, (logits / logits.sum(-1, keepdims=True)).max(-1), atol=1e-5)
    assert network.frames.shape == (1, 64, 64, 3)
    assert segmenter.network_size(shape) == (64, 64)
    # A tile that covers the frame is the frame.
    segmenter.tile = None
    whole = segmenter.confidence(x[None])
    segmenter.tile = (160, 16)
    np.testing.assert_array_equal(segmenter.confidence(x[None]), whole)
    assert network.frames.shape == (1, *sized, 3) == (1, *segmenter.network_size(shape), 3)
