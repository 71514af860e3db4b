from __future__ import annotations

import keras
import numpy as np
import pytest

from asap_tf.export.graph import EVERYWHERE, deployed_graph
from asap_tf.export.litert import REWRITES
from asap_tf.models.bisenetv2 import BiSeNetV2


@pytest.fixture(scope="module")
def full_size():
    return BiSeNetV2(19, (512, 1024, 3))


@pytest.fixture(scope="module")
def model(learn):
    """Small, and with statistics that a network has learned rather than was born with."""
    keras.utils.set_random_seed(0)
    return learn(BiSeNetV2(5, (64, 128, 3)))


def test_size(full_size, convolutions):
    assert convolutions(full_size) == pytest.approx((3.34e6, 24.6e9), rel=0.002)


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        # The paper's Table 1, at 512 x 1024.
        ("detail_stage1_2_relu", (256, 512, 64)),
        ("detail_stage2_3_relu", (128, 256, 64)),
        ("detail_stage3_3_relu", (64, 128, 128)),
        ("semantic_stem_gather", (128, 256, 32)),
        ("semantic_stem_fuse_relu", (128, 256, 16)),
        ("semantic_stage3_2_relu", (64, 128, 32)),
        ("semantic_stage4_2_relu", (32, 64, 64)),
        ("semantic_stage5_4_relu", (16, 32, 128)),
        # Six times the channels within a gather-and-expansion layer.
        ("semantic_stage3_1_expand", (64, 128, 6 * 16)),
        ("semantic_stage5_2_expand", (16, 32, 6 * 128)),
        ("context_pool", (1, 1, 128)),
        ("context_out_relu", (16, 32, 128)),
        # Gates meet the maps that they weigh at strides 8 and 32.
        ("aggregation_fine_gated", (64, 128, 128)),
        ("aggregation_coarse_gate_pool", (16, 32, 128)),
        ("aggregation_coarse_gated", (16, 32, 128)),
        ("logits_block_conv", (64, 128, 1024)),
    ],
)
def test_maps_are_the_published_ones(full_size, layer, shape):
    assert full_size.get_layer(layer).output.shape[1:] == shape


def test_as_many_layers_as_published(full_size):
    names = [layer.name for layer in full_size.layers]
    detail = [n for n in names if n.startswith("detail_") and n.endswith("_relu")]
    gather = [n for n in names if n.endswith("_gather_relu") and "stage" in n]
    shortcuts = [n for n in names if n.endswith("_shortcut_conv")]
    assert (len(detail), len(gather), len(shortcuts)) == (8, 8, 3)


def test_any_size_from_the_same_weights(model, frames):
    dynamic = BiSeNetV2(5, (None, None, 3), aux_heads=True)
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
    # Left is the one BatchNorm that follows a mean rather than a convolution.
    norms = [op.name for op in graph.function.graph.get_operations() if "_bn" in op.name]
    assert norms and all("context_pool_bn" in name for name in norms)
    # Both branches begin on 2 x 2 blocks of pixels.
    stems = [op for op in graph.function.graph.get_operations() if op.type == "SpaceToDepth"]
    assert len(stems) == (2 if rewrites is REWRITES else 0)
