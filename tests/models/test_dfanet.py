from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from asap_tf.export.graph import EVERYWHERE, deployed_graph
from asap_tf.export.litert import REWRITES
from asap_tf.models import dfanet
from asap_tf.models.dfanet import DFANetA


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(0)
    return DFANetA(19, (None, None, 3), aux_heads=True)


@pytest.fixture
def shallow(monkeypatch):
    """The same network with a block or two to the stage: the real one has 42 and takes long."""
    monkeypatch.setattr(dfanet, "STAGES", ((48, 1), (96, 2), (192, 1)))
    keras.utils.set_random_seed(0)
    return DFANetA(5, (64, 128, 3))


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
    norms = sum(x.count_params() for x in norms if "aux" not in x.name)
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


def test_any_size_from_the_same_weights(model, frames):
    for size in ((96, 160), (64, 32)):
        outputs = model(frames(1, *size), training=False)
        assert {name: tuple(x.shape) for name, x in outputs.items()} == dict.fromkeys(
            ("logits", "aux3", "aux4"), (1, *size, 19)
        )


def test_saved_model_loads_with_keras(shallow, tmp_path, frames):
    shallow.save(tmp_path / "dfanet.keras")
    loaded = keras.models.load_model(tmp_path / "dfanet.keras")
    x = frames(1, 64, 128)
    np.testing.assert_array_equal(loaded(x), shallow(x))


@pytest.mark.parametrize("rewrites", [EVERYWHERE, REWRITES], ids=["everywhere", "litert"])
def test_the_deployed_graph_is_exact(shallow, rewrites, frames, learn):
    learn(shallow)
    x = frames(1, 64, 128)
    graph = deployed_graph(shallow, (64, 128), output="logits", rewrites=rewrites)
    expected = np.asarray(shallow(x))
    logits = np.asarray(graph.function(tf.constant(x.astype("uint8")))[0])
    np.testing.assert_allclose(logits, expected, atol=1e-4 * abs(expected).max())
    kinds = {op.type for op in graph.function.graph.get_operations()}
    assert "FusedBatchNormV3" not in kinds
