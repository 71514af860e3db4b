from __future__ import annotations

import keras
import pytest
from keras import layers

from asap_tf.models.dfanet_a import DFANetA


@pytest.fixture(scope="module")
def model():
    return DFANetA(19, (None, None, 3))


@pytest.mark.parametrize(
    ("size", "printed"),
    # DFANet A and A' of the paper's comparison on Cityscapes: GFLOPs, one to a
    # multiply-accumulate.
    [((1024, 1024), 3.4e9), ((512, 1024), 1.7e9)],
)
def test_operations_are_those_the_paper_prints(model, size, printed, convolutions):
    parameters, operations = convolutions(model, size)
    assert operations == pytest.approx(printed, rel=0.01)
    # "7.8M" beside it, read as megabytes of float32 like ICNet's: no description says what the
    # 6 % are that are missing even with BatchNorm's four values to a channel.
    assert parameters == 1_807_563
    norms = [x for x in model.layers if isinstance(x, layers.BatchNormalization)]
    norms = sum(x.count_params() for x in norms)
    assert 4 * (parameters + norms) == pytest.approx(7.8e6, rel=0.06)


def test_first_backbone_costs_what_the_paper_prints(model, convolutions):
    alone = keras.Model(model.inputs[0], model.get_layer("backbone1_attention_scale").output)
    stem = 3 * 3 * 3 * 8 * 512 * 512
    assert convolutions(alone, (1024, 1024))[1] - stem == pytest.approx(1.6e9, rel=0.01)


def test_the_backbone_is_modified_xception_a_three_times(model):
    for network, strides in ((1, (4, 8, 16)), (2, (8, 16, 32)), (3, (16, 32, 64))):
        ends = ((2, 4, 48), (3, 6, 96), (4, 4, 192))
        for (stage, blocks, channels), stride in zip(ends, strides, strict=True):
            name = f"backbone{network}_enc{stage}_"
            added = [x.name for x in model.layers if x.name.startswith(name) and "_add" in x.name]
            assert len(added) == blocks
            end = keras.Model(model.inputs[0], model.get_layer(f"{name}{blocks}_add").output)
            shape = end.compute_output_shape((1, 512, 1024, 3))
            assert shape == (1, 512 // stride, 1024 // stride, channels)
        assert model.get_layer(f"backbone{network}_attention_fc").filters == 1000
