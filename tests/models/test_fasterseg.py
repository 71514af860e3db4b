from __future__ import annotations

import pytest

from asap_tf.models.fasterseg import FasterSeg


@pytest.fixture(scope="module")
def model():
    return FasterSeg(19, (512, 1024, 3))


def test_size_is_that_of_the_authors_code(model, convolutions):
    parameters, products = convolutions(model)
    assert parameters == 3_414_259
    assert sum(w.shape.num_elements() for w in model.trainable_weights) == 3_421_875
    assert products == pytest.approx(6.943e9, abs=5e5)
    assert convolutions(FasterSeg(19, (None, None, 3)), (1024, 2048))[1] == 4 * products


def test_parts_have_the_weights_of_the_authors_code(model):
    parts = {
        "stem": ("stem",),
        "shared": ("shared",),
        "branch32, 4 to 7": tuple(f"branch32_{i}_" for i in (4, 5, 6, 7)),
        "branch32, 8 to 10": tuple(f"branch32_{i}_" for i in (8, 9, 10)),
        "branch16, 4 and 5": ("branch16_4_", "branch16_5_"),
        "branch16, 6 to 9": tuple(f"branch16_{i}_" for i in (6, 7, 8, 9)),
        "aggregation32_coarse": ("aggregation32_coarse",),
        "aggregation32_middle": ("aggregation32_middle",),
        "aggregation32_reduce": ("aggregation32_reduce",),
        "aggregation32_fine": ("aggregation32_fine",),
        "aggregation16": ("aggregation16",),
        "aggregation": ("aggregation_",),
        "head": ("logits",),
    }
    found = {
        part: sum(
            w.shape.num_elements()
            for layer in model.layers
            for w in layer.trainable_weights
            if layer.name.startswith(starts)
        )
        for part, starts in parts.items()
    }
    assert list(found.values()) == [
        *(130_464, 64_896, 295_936, 1_402_880, 37_120, 941_824),
        *(33_024, 221_440, 8_320, 55_424, 8_320 + 55_424, 16_640, 150_163),
    ]


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        ("shared3_relu", (64, 128, 32)),
        # A zoomed convolution works at half the size of its map.
        ("shared3_1_conv", (32, 64, 32)),
        ("branch32_4_relu", (32, 64, 128)),
        ("branch32_7_1_conv", (16, 32, 64)),
        ("branch32_7_relu", (32, 64, 64)),
        ("branch32_10_1_conv", (8, 16, 256)),
        ("branch32_10_relu", (16, 32, 256)),
        ("branch16_5_2_relu", (64, 128, 32)),
        ("branch16_9_relu", (32, 64, 128)),
        ("aggregation_gather", (64, 128, 128)),
        ("logits_classes", (64, 128, 19)),
    ],
)
def test_maps_are_the_published_ones(model, layer, shape):
    assert model.get_layer(layer).output.shape[1:] == shape


def test_the_auxiliary_head_at_stride_16_sees_both_branches():
    model = FasterSeg(5, (64, 96, 3), aux_heads=True)
    assert [m.shape[1:] for m in model.backbone_outputs.values()] == [
        *((8, 12, 32), (4, 6, 64 + 128), (2, 3, 256))
    ]
