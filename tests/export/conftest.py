from __future__ import annotations

import numpy as np
import pytest


@pytest.fixture(scope="session")
def model(trained_model):
    from asap_tf.saving import load_keras_model

    return load_keras_model(trained_model)


@pytest.fixture(scope="session")
def frames(streets_root) -> np.ndarray:
    """The training frames, uint8 `(8, 64, 128, 3)`."""
    from asap_tf import open_dataset
    from asap_tf.data.images import read_image

    return np.stack([read_image(pair.image) for pair in open_dataset(streets_root).pairs("train")])


@pytest.fixture(scope="session")
def logits(model, frames) -> np.ndarray:
    """The Keras model's own answer to `frames`."""
    return np.asarray(model(frames.astype("float32"), training=False))


@pytest.fixture(scope="session")
def to_logits(model):
    """The deployment that takes two frames and gives their logits."""
    from asap_tf.export.graph import Deployment

    return Deployment(model, (64, 128), batch=2, output="logits")


@pytest.fixture(scope="session")
def strided_labels(model, frames):
    """Labels of `frames` decided at a stride, by OpenCV from the logits before resizing."""
    import cv2
    import keras

    low = np.asarray(keras.Model(model.inputs[0], model.get_layer("logits").input)(frames * 1.0))

    def labels(stride: int) -> np.ndarray:
        logits = [cv2.resize(x, (128 // stride, 64 // stride)) for x in low]
        return np.kron(np.argmax(logits, -1), np.ones((stride, stride))).astype(np.uint8)

    return labels


@pytest.fixture
def randomized():
    """Fills a layer's or a model's variables with numbers from 0.5 to 1.5, and returns it."""

    def fill(layer, seed: int = 0):
        rng = np.random.default_rng(seed)
        for variable in layer.variables:
            variable.assign(rng.uniform(0.5, 1.5, variable.shape))
        return layer

    return fill


@pytest.fixture
def network():
    """Builds a network of any size from layers, one after the other, random numbers in all."""
    import keras

    def build(*stack):
        frames = x = keras.Input((None, None, 3), name="frames")
        for layer in stack:
            x = layer(x)
        model = keras.Model(frames, keras.layers.Identity(name="logits")(x))
        rng = np.random.default_rng(0)
        model.set_weights([rng.normal(size=w.shape) for w in model.get_weights()])
        return model

    return build


@pytest.fixture
def both():
    """The answers of a model and of its rewritten twin, and the twin."""
    from asap_tf.export.graph import rewritten_network

    def answers(model, *rewrites):
        frames = np.random.default_rng(1).integers(0, 256, (2, 32, 64, 3)).astype("float32")
        twin = rewritten_network(model, (32, 64), 2, rewrites)
        return np.asarray(model(frames)), np.asarray(twin(frames)), twin

    return answers
