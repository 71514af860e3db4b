"""What holds for ASAP and all of its rivals alike."""

from __future__ import annotations

import collections
from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from asap_tf import OhemCrossEntropy, open_dataset
from asap_tf.data.images import read_pair
from asap_tf.export.graph import EVERYWHERE, Deployment
from asap_tf.export.writers.litert import REWRITES
from asap_tf.models import create_model, list_models
from support.fitting import learn_by_heart

SIZE = (64, 128)
STEPS = 40
RATE = 0.0025


@pytest.fixture(scope="module", params=list_models())
def fitted(request, streets_root):
    """A network with both auxiliary heads that has learned two frames by heart.

    Its name, itself, the frames, their labels, and its logits of them.
    """
    dataset = open_dataset(streets_root)
    pairs = [read_pair(pair, dataset.encoding) for pair in dataset.pairs("train")[:2]]
    frames, labels = (np.stack(arrays) for arrays in zip(*pairs, strict=True))
    frames = frames.astype("float32")
    keras.utils.set_random_seed(0)
    model = create_model(request.param, 19, (*SIZE, 3), aux_heads=True)
    # All batches are the same, so its statistics are the right ones: none from before are kept.
    for layer in model.layers:
        if isinstance(layer, layers.BatchNormalization):
            layer.momentum = 0.0
    loss = OhemCrossEntropy(min_kept=1.0)
    learn_by_heart(model, frames, labels, loss, STEPS, RATE)
    logits = model(frames, training=False)["logits"].numpy()
    return SimpleNamespace(
        name=request.param, model=model, frames=frames, labels=labels, logits=logits
    )


def test_over_fits(fitted):
    """The loss of the recipes and both auxiliary heads: above 90 % of the pixels."""
    known = fitted.labels != 255
    right = fitted.logits.argmax(-1)[known] == fitted.labels[known]
    assert right.mean() > 0.9


def test_any_size_from_the_same_weights(fitted):
    dynamic = create_model(fitted.name, 19, (None, None, 3), aux_heads=True)
    dynamic.set_weights(fitted.model.get_weights())
    # One graph for all sizes: none is known when it is made.
    traced = tf.function(dynamic, [tf.TensorSpec((None, None, None, 3))], autograph=False)
    logits = traced(fitted.frames)["logits"]
    np.testing.assert_allclose(logits, fitted.logits, atol=1e-5 * abs(fitted.logits).max())
    # At stride 64 the first is 1.5 x 2.5, the others half a position high or wide.
    for size in ((96, 160), (32, 64), (64, 32)):
        outputs = traced(np.zeros((1, *size, 3), "float32"))
        assert {name: tuple(y.shape) for name, y in outputs.items()} == dict.fromkeys(
            ("logits", "aux3", "aux4"), (1, *size, 19)
        )


def test_saved_model_loads_with_keras(fitted, tmp_path):
    fitted.model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded(fitted.frames)["logits"], fitted.logits)


@pytest.mark.parametrize("rewrites", [EVERYWHERE, REWRITES], ids=["everywhere", "litert"])
def test_the_deployed_graph_is_exact(fitted, rewrites):
    graph = Deployment(fitted.model, SIZE, batch=2, output="logits").graph(rewrites)
    logits = graph.function(tf.constant(fitted.frames, tf.uint8))[0]
    np.testing.assert_allclose(logits, fitted.logits, atol=1e-4 * abs(fitted.logits).max())

    operators = graph.function.graph.get_operations()
    # Left of BatchNorms are those that follow something else than a convolution.
    left = {layer.name for layer in fitted.model.layers if follows_no_convolution(layer)}
    scopes = {part for op in operators for part in op.name.split("/") if "_bn" in part}
    assert {scope.removesuffix("_1") for scope in scopes} == left
    # For LiteRT frames are taken as 2 x 2 blocks, by both branches of BiSeNetV2, and no mean
    # pooling is left, which it would not do in int8.
    kinds = collections.Counter(op.type for op in operators)
    means = sum(isinstance(layer, layers.AveragePooling2D) for layer in fitted.model.layers)
    stems = 2 if fitted.name == "bisenetv2" else 1
    litert = rewrites is REWRITES
    assert (kinds["SpaceToDepth"], kinds["AvgPool"]) == ((stems, 0) if litert else (0, means))


def follows_no_convolution(layer):
    if not isinstance(layer, layers.BatchNormalization):
        return False
    before = layer.input._keras_history.operation
    return not isinstance(before, layers.Conv2D | layers.DepthwiseConv2D)
