from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def artifact(tmp_path_factory) -> Path:
    """An `.onnx` file of a network of a few weights, 32 x 64, to 12 labels; nothing beside it."""
    import numpy as np
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    weights = np.random.default_rng(0).normal(size=(12, 3, 1, 1)).astype("float32")
    nodes = [
        helper.make_node("Cast", ["frames"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["floats"], ["channels"], perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["channels", "weights"], ["logits"]),
        helper.make_node("ArgMax", ["logits"], ["largest"], axis=1, keepdims=0),
        helper.make_node("Cast", ["largest"], ["labels"], to=TensorProto.UINT8),
    ]
    takes = helper.make_tensor_value_info("frames", TensorProto.UINT8, [1, 32, 64, 3])
    gives = helper.make_tensor_value_info("labels", TensorProto.UINT8, [1, 32, 64])
    initializer = numpy_helper.from_array(weights, "weights")
    graph = helper.make_graph(nodes, "tiny", [takes], [gives], [initializer])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    path = tmp_path_factory.mktemp("plain") / "plain.onnx"
    onnx.save(model, path)
    return path
