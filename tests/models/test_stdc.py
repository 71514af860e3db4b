from __future__ import annotations

import keras
import pytest

from asap_tf.models.stdc import backbone
from asap_tf.models.stdc1 import STDC1Seg
from asap_tf.models.stdc2 import STDC2Seg


@pytest.fixture(scope="module")
def full_size():
    return {network: network(19, (512, 1024, 3)) for network in (STDC1Seg, STDC2Seg)}


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
