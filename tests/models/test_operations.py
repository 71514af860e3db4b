from __future__ import annotations

from types import SimpleNamespace

import keras
import pytest
from keras import layers

from asap_tf import ASAPNet, open_dataset
from asap_tf.core.errors import UsageError
from asap_tf.models.operations import count_operations
from asap_tf.runtime import Segmenter
from asap_tf.runtime.keras_network import KerasNetwork

H, W, C = 6, 10, 8


def counted(build, shape=(H, W, C)):
    inputs = keras.Input(shape)
    return count_operations(keras.Model(inputs, build(inputs)))


@pytest.mark.parametrize(
    ("layer", "products", "others"),
    [
        (layers.Conv2D(5, 3, padding="same"), H * W * 5 * 9 * C, 0),
        (layers.Conv2D(5, 3, strides=2, padding="same", use_bias=False), 3 * 5 * 5 * 9 * C, 0),
        (layers.Conv2D(4, 3, groups=2, padding="same"), H * W * 4 * 9 * C // 2, 0),
        (layers.DepthwiseConv2D(3, padding="same"), H * W * C * 9, 0),
        (layers.Conv2DTranspose(5, 3, strides=2, padding="same"), H * W * C * 9 * 5, 0),
        (layers.Dense(7), H * W * C * 7, 0),
        (layers.BatchNormalization(), 0, 2 * H * W * C),
        (layers.UpSampling2D(2, interpolation="bilinear"), 0, 4 * H * W * C),
        (layers.AveragePooling2D(2), 0, 0),
        (layers.ReLU(), 0, 0),
        (layers.Softmax(), 0, 0),
        (layers.LayerNormalization(center=False, scale=False), 0, 0),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_closed_forms(layer, products, others):
    found = counted(layer)
    assert sum(found.multiply_accumulates.values()) == products
    assert sum(found.others.values()) == others
    assert found.total == products + others


def test_a_strip_brought_to_a_map_counts_and_a_number_per_channel_does_not():
    def strip(x):
        return x + keras.ops.mean(x, axis=1, keepdims=True)

    def numbers(x):
        return x + keras.ops.mean(x, axis=(1, 2), keepdims=True)

    assert counted(strip).total == H * W * C
    assert counted(numbers).total == 0


def test_products_of_batches_of_matrices():
    def attention(x):
        x = layers.Reshape((H * W, C))(x)
        return keras.ops.matmul(x, keras.ops.transpose(x, (0, 2, 1)))

    assert counted(attention).total == (H * W) ** 2 * C


@pytest.fixture(scope="module")
def asap():
    return ASAPNet(19, (64, 128, 3), aux_heads=True)


def test_modules_add_up_and_heads_for_training_are_left_out(asap):
    found = count_operations(asap)
    assert set(found.by_module) == {
        *("backbone", "pyramid", "gather", "fusion", "attention", "logits")
    }
    assert sum(found.by_module.values()) == sum(found.by_layer.values()) == found.total
    assert found.multiply_accumulates["backbone_conv1"] == 32 * 64 * 64 * 7 * 7 * 3
    assert found.others["backbone_bn1"] == 2 * 32 * 64 * 64
    assert found.others["logits"] == 64 * 128 * 19


def test_any_size_needs_one(asap):
    flexible = ASAPNet(19, (None, None, 3))
    with pytest.raises(UsageError, match="give one"):
        count_operations(flexible)
    assert count_operations(flexible, (64, 128)) == count_operations(asap)


def test_tensorflows_profiler_agrees_on_products():
    """It counts 2 for a multiply-accumulate, and a bias and what we count 0 or 1 otherwise."""
    import tensorflow as tf
    from tensorflow.python.framework.convert_to_constants import (
        convert_variables_to_constants_v2_as_graph,
    )

    model = ASAPNet(19, (64, 128, 3))
    network = tf.function(lambda x: model(x, training=False))
    concrete = network.get_concrete_function(tf.TensorSpec((1, 64, 128, 3), tf.float32))
    definition = convert_variables_to_constants_v2_as_graph(concrete)[1]
    with tf.Graph().as_default() as graph:
        tf.graph_util.import_graph_def(definition, name="")
        options = tf.compat.v1.profiler.ProfileOptionBuilder.float_operation()
        options["output"] = "none"
        node = tf.compat.v1.profiler.profile(graph, cmd="op", options=options)
    total = 0
    while node.children:
        (node,) = node.children
        total += node.float_ops if node.name in ("Conv2D", "MatMul", "BatchMatMulV2") else 0
    assert sum(count_operations(model).multiply_accumulates.values()) == total / 2


def test_of_an_artifact_its_metadata_speak():
    metadata = {"multiply_accumulates": 7, "operations": {"total": 9}, "other": 1}
    segmenter = Segmenter(SimpleNamespace(num_classes=None, size=None), [], (64, 128), metadata)
    assert segmenter.operations() == {"multiply_accumulates": 7, "operations": {"total": 9}}


def test_of_a_keras_model_its_graph(asap, streets_root):
    network = KerasNetwork(ASAPNet(2, (None, None, 3)))
    classes = open_dataset(streets_root).classes[:2]
    assert Segmenter(network, classes, None).operations() == {}
    found = Segmenter(network, classes, (64, 128)).operations()
    difference = found["operations"]["total"] - count_operations(asap).total
    assert difference == -17 * (8 * 16 * 64 + 64 * 128)
