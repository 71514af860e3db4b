from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

SIZE = (32, 64)
CLASSES = [
    {"name": f"c{i}", "color": [10 * i, 0, 255], "category": "things", "label_id": i}
    for i in range(5)
]


@pytest.fixture(scope="session")
def tiny_artifact(tmp_path_factory) -> Path:
    """A `.tflite` file of a network of a few weights, 32 x 64, that gives labels of 5 classes."""
    import keras
    from keras import layers

    from asap_tf.export.graph import Deployment
    from asap_tf.export.writers import litert
    from asap_tf.saving import write_sidecar

    keras.utils.set_random_seed(6)
    frames = keras.Input((*SIZE, 3), name="frames")
    x = layers.Rescaling(1 / 64, -2)(frames)
    x = layers.Conv2D(5, 5, strides=2, padding="same")(x)
    model = keras.Model(frames, layers.UpSampling2D(2, interpolation="bilinear", name="logits")(x))
    path = tmp_path_factory.mktemp("export") / "tiny.tflite"
    metadata = {"size": SIZE, "batch": 1, "output": "labels", "classes": CLASSES}
    litert.write(Deployment(model, SIZE), "fp32", path, [], metadata)
    write_sidecar(path, metadata)
    return path


def write_frames(folder: Path, count: int, seed: int = 0) -> list[Path]:
    """Noise of 32 x 64, all different, as PNG."""
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{i:04d}.png" for i in range(count)]
    for path in paths:
        Image.fromarray(rng.integers(0, 256, (*SIZE, 3), dtype=np.uint8)).save(path)
    return paths


@pytest.fixture
def frames(tmp_path) -> list[Path]:
    """Seven frames in a folder `frames`."""
    return write_frames(tmp_path / "frames", 7)


@pytest.fixture
def drive(tmp_path) -> Path:
    """A video of eleven frames, each of another gray."""
    import cv2

    path = tmp_path / "drive.mp4"
    video = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 10, SIZE[::-1])
    for i in range(11):
        video.write(np.full((*SIZE, 3), 20 * i, np.uint8))
    video.release()
    return path
