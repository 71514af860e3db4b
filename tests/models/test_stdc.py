from __future__ import annotations

import keras
import numpy as np
import pytest

from asap_tf.export.graph import EVERYWHERE, deployed_graph
from asap_tf.export.litert import REWRITES
from asap_tf.models.stdc import STDC1Seg, STDC2Seg, backbone


@pytest.fixture(scope="module")
def full_size():
    return {network: network(19, (512, 1024, 3)) for network in (STDC1Seg, STDC2Seg)}


@pytest.fixture(scope="module")
def model(learn):
    """Small, and with statistics that a network has learned rather than was born with."""
    keras.utils.set_random_seed(0)
    return learn(STDC1Seg(5, (64, 128, 3)))


@pytest.mark.parametrize(
    ("network", "parameters", "products"),
    [(STDC1Seg, 8.26e6, 16.86e9), (STDC2Seg, 12.29e6, 23.46e9)],
)
def test_size(full_size, network, parameters, products, convolutions):
    assert convolutions(full_size[network]) == pytest.approx((parameters, products), rel=0.001)


@pytest.mark.parametrize(
    ("depths", "parameters", "products"),
    [((2, 2, 2), 8.44e6, 813e6), ((4, 5, 3), 12.47e6, 1446e6)],
)
def test_backbone_has_the_size_that_the_paper_prints(depths, parameters, products, convolutions):
    """Its Table 2: at 224 x 224, with the classifier."""
    inputs = keras.Input((224, 224, 3))
    counted = convolutions(keras.Model(inputs, backbone(inputs, depths)))
    classifier = 1024 * 1024, 1024 * 1024, 1024 * 1000
    assert counted[0] + sum(classifier) == pytest.approx(parameters, rel=0.005)
    total = counted[1] + 7**2 * classifier[0] + sum(classifier[1:])
    # The paper counts about 7 M operations of other layers.
    assert total == pytest.approx(products, rel=0.01)


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        ("backbone_stage1_relu", (256, 512, 32)),
        ("backbone_stage2_relu", (128, 256, 64)),
        # A module's four parts: a half, a quarter and two eighths of its channels.
        ("backbone_stage3_1_part1_relu", (128, 256, 128)),
        ("backbone_stage3_1_pool", (64, 128, 128)),
        ("backbone_stage3_1_part2_relu", (64, 128, 64)),
        ("backbone_stage3_1_part3_relu", (64, 128, 32)),
        ("backbone_stage3_1_part4_relu", (64, 128, 32)),
        ("backbone_stage3_1", (64, 128, 256)),
        ("backbone_stage4_2", (32, 64, 512)),
        ("backbone_stage5_2", (16, 32, 1024)),
        ("context_refine32_gated", (16, 32, 128)),
        ("context_refine16_gated", (32, 64, 128)),
        ("context_out16_relu", (64, 128, 128)),
        ("fusion_gather", (64, 128, 384)),
        ("fusion_gate1_relu", (1, 1, 64)),
        ("fusion_add", (64, 128, 256)),
        ("logits_block_conv", (64, 128, 256)),
    ],
)
def test_maps_are_the_published_ones(full_size, layer, shape):
    for network in full_size.values():
        assert network.get_layer(layer).output.shape[1:] == shape


@pytest.mark.parametrize(("network", "modules"), [(STDC1Seg, 6), (STDC2Seg, 12)])
def test_as_many_modules_as_published(full_size, network, modules):
    names = [layer.name for layer in full_size[network].layers]
    assert sum(name.endswith("_part4_conv") for name in names) == modules
    assert sum(name.endswith("_down") for name in names) == 3


def test_any_size_from_the_same_weights(model, frames):
    dynamic = STDC1Seg(5, (None, None, 3), aux_heads=True)
    for layer in model.layers:
        dynamic.get_layer(layer.name).set_weights(layer.get_weights())
    x = frames(1, 64, 128)
    expected = np.asarray(model(x))
    atol = 1e-5 * abs(expected).max()
    np.testing.assert_allclose(dynamic.predict(x, verbose=0)["logits"], expected, atol=atol)
    outputs = dynamic.predict(frames(1, 96, 160), verbose=0)
    assert {name: y.shape for name, y in outputs.items()} == dict.fromkeys(
        ("logits", "aux3", "aux4"), (1, 96, 160, 5)
    )


def test_saved_model_loads_with_keras(model, tmp_path, frames):
    model.save(tmp_path / "model.keras")
    x = frames(1, 64, 128)
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded(x), model(x))


@pytest.mark.parametrize("rewrites", [EVERYWHERE, REWRITES], ids=["everywhere", "litert"])
def test_the_deployed_graph_is_exact(model, rewrites, frames):
    import tensorflow as tf

    graph = deployed_graph(model, (64, 128), output="logits", rewrites=rewrites)
    x = frames(1, 64, 128)
    expected = np.asarray(model(x))
    actual = graph.function(tf.constant(x, tf.uint8))[0]
    np.testing.assert_allclose(actual, expected, atol=1e-4 * abs(expected).max())
    operations = graph.function.graph.get_operations()
    assert not any("_bn" in op.name for op in operations)
    pooling = {op.type for op in operations} & {"AvgPool", "SpaceToDepth"}
    assert pooling == ({"SpaceToDepth"} if rewrites is REWRITES else {"AvgPool"})
