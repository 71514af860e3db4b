from __future__ import annotations

import pytest
from keras import layers

from asap_tf.core.errors import UsageError
from asap_tf.models.ffnet_46ns import FFNet46NS


@pytest.mark.parametrize(
    ("variant", "parameters", "weights", "products"),
    [
        ("ccc", 12_513_491, 12_530_995, 28_010_610_688),
        ("cbb", 13_163_219, 13_181_203, 42_165_338_112),
    ],
)
def test_size_is_that_of_the_authors_code(variant, parameters, weights, products, convolutions):
    model = FFNet46NS(19, (512, 1024, 3), variant)
    assert convolutions(model) == (parameters, products)
    assert sum(w.shape.num_elements() for w in model.trainable_weights) == weights
    assert sum(isinstance(layer, layers.Conv2D) for layer in model.layers) == 63
    # Levels are repeated as they are, and gathered finest first.
    gather = model.get_layer("gather").input
    channels = {"ccc": [128, 16, 16, 16], "cbb": [96, 96, 64, 32]}[variant]
    assert [tuple(x.shape[1:]) for x in gather] == [(128, 256, c) for c in channels]
    doubled = [x for x in model.layers if isinstance(x, layers.UpSampling2D)]
    assert {x.interpolation for x in doubled} == {"nearest"} and len(doubled) == 6


def test_parts_have_the_weights_of_the_authors_code():
    model = FFNet46NS(19, (None, None, 3))
    weights = {}
    for layer in model.layers:
        part = layer.name.rpartition("_conv")[0] or layer.name.removesuffix("_bn")
        for start in ("backbone_stem", "backbone_layer1", "backbone_layer2", "backbone_layer3"):
            part = start if part.startswith(start) else part
        own = sum(w.shape.num_elements() for w in layer.trainable_weights)
        weights[part] = weights.get(part, 0) + own
    assert {part: n for part, n in weights.items() if n} == {
        "backbone_stem": 75_840,
        "backbone_layer1": 448_128,
        "backbone_layer2": 2_298_112,
        "backbone_layer3": 9_183_744,
        **{"pyramid_adapter4": 8_448, "pyramid_adapter8": 8_448},
        **{"pyramid_adapter16": 16_640, "pyramid_adapter32": 33_024},
        **{"pyramid_down16": 16_640, "pyramid_down8": 16_640, "pyramid_down4": 16_640},
        **{"gather4": 147_712, "gather8": 18_464, "gather16": 18_464, "gather32": 18_464},
        **{"logits_block": 202_880 + 256, "logits_classes": 2_451},
    }


def test_refuses_another_variant():
    with pytest.raises(UsageError, match="unknown `variant` 'cb'; did you mean"):
        FFNet46NS(variant="cb")
