from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from asap_tf import ASAPNet
from asap_tf.core.errors import UsageError
from asap_tf.export.graph import EVERYWHERE, DeployedGraph, Deployment
from asap_tf.export.rewrites.confidence import confidence_by_softmax
from asap_tf.export.rewrites.labels import repeat_as_bytes


def run(deployment, frames):
    return np.asarray(deployment.graph().function(tf.constant(frames))[0])


def test_logits_are_the_models(model, frames, logits):
    deployment = Deployment(model, (64, 128), batch=2, output="logits")
    np.testing.assert_allclose(run(deployment, frames[:2]), logits[:2], atol=1e-4)


def test_labels_are_the_argmax_in_the_graph(model, frames, logits):
    labels = run(Deployment(model, (64, 128)), frames[:1])
    assert labels.dtype == np.uint8
    np.testing.assert_array_equal(labels, logits[:1].argmax(-1))


@pytest.mark.parametrize("stride", [2, 4, 8])
def test_labels_of_a_stride(model, frames, strided_labels, stride):
    labels = run(Deployment(model, (64, 128), 8, label_stride=stride), frames)
    assert labels.dtype == np.uint8 and labels.shape == (8, 64, 128)
    assert np.mean(labels == strided_labels(stride)) > 0.9995
    # And it is something else than a stride of 1.
    assert np.mean(labels == strided_labels(1)) < 0.999


@pytest.mark.parametrize("stride", [0, 3, 16])
def test_a_stride_that_the_network_does_not_have(model, stride):
    with pytest.raises(UsageError, match=f"`label_stride` {stride}: this network has 1, 2, 4, 8"):
        Deployment(model, (64, 128), label_stride=stride).graph()


def test_nothing_is_left_of_training(model):
    graph = Deployment(model, (64, 128)).graph()
    kinds = {op.type for op in graph.function.graph.get_operations()}
    assert not kinds & {"VarHandleOp", "ReadVariableOp", "FusedBatchNormV3", "BroadcastTo"}
    scopes = [op.name for op in graph.function.graph.get_operations()]
    assert not any("_bn" in scope or "aux" in scope for scope in scopes)


def test_auxiliary_heads_are_left_out(frames):
    model = ASAPNet(5, (None, None, 3), width=0.25, aux_heads=True)
    deployment = Deployment(model, (64, 128), output="logits")
    expected = model(frames[:1].astype("float32"))["logits"]
    np.testing.assert_allclose(run(deployment, frames[:1]), expected, atol=1e-4)


def test_the_model_is_not_touched(model, frames, logits):
    before = [len(layer._inbound_nodes) for layer in model.layers]
    weights = model.get_weights()
    for _ in range(2):
        Deployment(model, (64, 128)).graph()
    assert [len(layer._inbound_nodes) for layer in model.layers] == before
    for now, then in zip(model.get_weights(), weights, strict=True):
        np.testing.assert_array_equal(now, then)
    np.testing.assert_allclose(model(frames[:1].astype("float32")), logits[:1], atol=1e-4)


@pytest.mark.parametrize(
    ("fusion", "attention"),
    [("general", "horizontal"), ("ln", "full"), ("in", "none"), ("none", "vertical")],
)
def test_every_variant_of_the_network_is_rewritten_exactly(fusion, attention, frames):
    model = ASAPNet(5, (64, 128, 3), width=0.25, fusion=fusion, attention=attention)
    rng = np.random.default_rng(0)
    for variable in model.variables:
        if "moving" in variable.path or "gamma" in variable.path or "beta" in variable.path:
            variable.assign(rng.uniform(0.5, 1.5, variable.shape))
    deployment = Deployment(model, (64, 128), output="logits")
    expected = np.asarray(model(frames[:1].astype("float32")))
    found = run(deployment, frames[:1])
    np.testing.assert_allclose(found, expected, atol=1e-4 * abs(expected).max())


def test_a_graph_is_made_once_for_each_set_of_rewrites(model):
    deployment = Deployment(model, (64, 128))
    graph = deployment.graph()
    assert deployment.graph(EVERYWHERE) is graph
    plain = deployment.graph(())
    assert plain is deployment.graph([]) is not graph
    # Ways of repeating labels and of being sure count where there is something to repeat, or asked.
    assert deployment.graph(EVERYWHERE, repeat_as_bytes, confidence_by_softmax) is graph
    deployment = Deployment(model, (64, 128), output="labels+confidence", label_stride=2)
    graph = deployment.graph()
    assert deployment.graph(repeat=repeat_as_bytes) is not graph
    assert deployment.graph(confidence=confidence_by_softmax) is not graph


def test_batches_are_filled_up_from_the_start(model):
    frames = [np.full((2, 2, 3), i, np.uint8) for i in range(5)]

    def batches(size, count):
        found = DeployedGraph(None, Deployment(model, (2, 2), size)).batches(frames[:count])
        return [batch[:, 0, 0, 0].tolist() for batch in found]

    assert batches(1, 5) == [[0], [1], [2], [3], [4]]
    assert batches(3, 5) == [[0, 1, 2], [3, 4, 0]]
    assert batches(4, 2) == [[0, 1, 0, 1]]
