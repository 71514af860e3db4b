from __future__ import annotations

import cv2
import numpy as np
import pytest
from PIL import Image

from asap_tf.core.charts import BLUES
from asap_tf.core.labels import numbered_classes
from asap_tf.runtime import FixedNetwork, Network, Segmenter
from asap_tf.runtime.network import Signature


class StubNetwork(FixedNetwork):
    """Labels each pixel by its red channel, and remembers the sizes of its frames."""

    format = "litert"

    def __init__(self, size=(32, 64), batch=1):
        super().__init__(Signature(batch, size, None), "Stub 1.0, 1 thread")
        self.seen = []

    def run(self, frames):
        self.seen.append(frames.shape)
        return frames[..., 0] // 16


class AnySizeNetwork(Network):
    """The same at any size, as a Keras model is."""

    format, runtime, metadata = "litert", "Stub 1.0, 1 thread", {}
    size = batch = num_classes = None

    def __init__(self):
        self.seen = []

    def probabilities(self, frames, size):
        raise NotImplementedError

    def logit_bands(self, frame, size):
        raise NotImplementedError

    def labels(self, frames, size, out=None):
        self.seen.append(frames.shape)
        return np.stack([cv2.resize(frame[..., 0] // 16, size[::-1]) for frame in frames])


@pytest.fixture
def segmenter():
    metadata = {"precision": "int8", "parameters": 1_500_000, "parity": {"agreement": 0.991}}
    return Segmenter(StubNetwork(), numbered_classes(16), metadata=metadata)


@pytest.fixture
def any_size():
    """A segmenter that runs at any size and prefers none."""
    return Segmenter(AnySizeNetwork(), numbered_classes(16))


@pytest.fixture
def several_frames():
    """A segmenter made for batches of two."""
    return Segmenter(StubNetwork(batch=2), numbered_classes(16))


@pytest.fixture(scope="session")
def small_model(tmp_path_factory):
    """A `.keras` file of ASAP at an eighth of its width, 64 x 128, with random weights."""
    from asap_tf import ASAPNet
    from asap_tf.data.cityscapes import CLASSES
    from asap_tf.saving import save_model

    path = tmp_path_factory.mktemp("small") / "model.keras"
    save_model(ASAPNet(19, (None, None, 3), width=0.125), path, CLASSES, (64, 128))
    return path


@pytest.fixture(scope="session")
def source_folder(tmp_path_factory):
    """A folder with a source frame of 64 x 128."""
    from asap_tf.benchmark.artifact import write_source

    folder = tmp_path_factory.mktemp("source")
    write_source(folder, (64, 128))
    return folder


@pytest.fixture
def bar_lengths():
    """Lengths in pixels of the bars in a chart, for each color from the top down."""

    def lengths(path):
        picture = np.asarray(Image.open(path).convert("RGB"))[150:]  # below the legend
        found = []
        for color in BLUES:
            rgb = [int(color[i : i + 2], 16) for i in (1, 3, 5)]
            rows = (picture == rgb).all(-1).sum(1)
            edges = np.flatnonzero(np.diff((rows > 0).astype(int), prepend=0, append=0))
            found.append([int(np.median(rows[a:b])) for a, b in edges.reshape(-1, 2)])
        return [bars for bars in found if bars]

    return lengths
