from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from asap_tf.export.graph import EVERYWHERE, deployed_graph
from asap_tf.export.litert import REWRITES
from asap_tf.models.icnet import ICNet


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(0)
    return ICNet(19, (None, None, 3), aux_heads=True)


@pytest.fixture(scope="module")
def fixed():
    keras.utils.set_random_seed(0)
    return ICNet(19, (64, 128, 3), aux_heads=True)


def shape_at(model, name, size):
    end = keras.Model(model.inputs[0], model.get_layer(name).output)
    return end.compute_output_shape((1, *size, 3))[1:]


def test_size_is_that_printed_beside_it(model, convolutions):
    parameters, operations = convolutions(model, (1024, 2048))
    # Quoted in later papers: "26.5M", which reads like megabytes of float32, and 28.3 GFLOPs,
    # one to a multiply-accumulate; the authors' own layers give the 29.0 G found here.
    assert 4 * parameters == pytest.approx(26.5e6, rel=0.01)
    assert operations == pytest.approx(28.3e9, rel=0.03)
    assert (parameters, operations) == (6_671_443, 29_028_777_984)


def test_branches_and_widths_are_the_published_ones(model):
    size = (512, 1024)
    for name, stride, channels in (
        ("full_conv3_relu", 8, 64),
        ("half_frames", 2, 3),
        ("half_conv1_3_relu", 4, 64),
        ("half_conv2_3_relu", 8, 128),
        ("half_conv3_1_relu", 16, 256),
        ("quarter_conv3_4_relu", 32, 256),
        ("quarter_conv4_6_relu", 32, 512),
        ("quarter_conv5_3_relu", 32, 1024),
        ("quarter_conv5_4_relu", 32, 256),
        ("fusion16_relu", 16, 128),
        ("fusion8_relu", 8, 128),
        ("logits_classes", 4, 19),
    ):
        assert shape_at(model, name, size) == (512 // stride, 1024 // stride, channels), name
    added = [x.name for x in model.layers if isinstance(x, layers.Add) and "conv" in x.name]
    assert len(added) == 3 + 4 + 6 + 3
    rates = {x.name: x.dilation_rate[0] for x in model.layers if isinstance(x, layers.Conv2D)}
    assert rates["quarter_conv4_1_3x3"] == 2 and rates["quarter_conv5_1_3x3"] == 4


def test_any_size_from_the_same_weights(model, fixed, frames):
    model.set_weights(fixed.get_weights())
    x = frames(1, 64, 128)
    known, unknown = fixed(x)["logits"], model.predict(x, verbose=0)["logits"]
    np.testing.assert_allclose(unknown, known, atol=1e-4)
    for size in ((96, 160), (32, 64)):
        outputs = model(frames(1, *size), training=False)
        assert {name: tuple(x.shape) for name, x in outputs.items()} == dict.fromkeys(
            ("logits", "aux3", "aux4"), (1, *size, 19)
        )


def test_saved_model_loads_with_keras(fixed, tmp_path, frames):
    fixed.save(tmp_path / "icnet.keras")
    loaded = keras.models.load_model(tmp_path / "icnet.keras")
    x = frames(1, 64, 128)
    np.testing.assert_array_equal(loaded(x)["logits"], fixed(x)["logits"])


@pytest.mark.parametrize("rewrites", [EVERYWHERE, REWRITES], ids=["everywhere", "litert"])
def test_the_deployed_graph_is_exact(fixed, rewrites, frames, learn):
    learn(fixed)
    x = frames(1, 64, 128)
    graph = deployed_graph(fixed, (64, 128), output="logits", rewrites=rewrites)
    expected = np.asarray(fixed(x)["logits"])
    logits = np.asarray(graph.function(tf.constant(x.astype("uint8")))[0])
    np.testing.assert_allclose(logits, expected, atol=1e-4 * abs(expected).max())
    kinds = {op.type for op in graph.function.graph.get_operations()}
    assert "FusedBatchNormV3" not in kinds
