from __future__ import annotations

import pytest

from asap_tf.models.bisenetv2 import BiSeNetV2


@pytest.fixture(scope="module")
def full_size():
    return BiSeNetV2(19, (512, 1024, 3))


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
