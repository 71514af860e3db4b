"""What an `.onnx` file may refer to: nothing but itself."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from asap_tf.core.errors import AsapError, shown
from asap_tf.core.optional import require


def read_onnx(path: Path) -> bytes:
    """The bytes of an `.onnx` file that holds all of its weights.

    ONNX lets a tensor lie in another file, by any path: its bytes would come out as labels.

    Raises:
        AsapError: if `onnx` is not installed, or the file is damaged or refers to another one.
    """
    onnx = require("onnx", "onnx")
    content = path.read_bytes()
    model = onnx.ModelProto()
    try:
        model.ParseFromString(content)
    except Exception as error:
        raise AsapError(
            f"{path}: damaged or another kind of file, cannot be opened as onnx"
        ) from error
    for tensor in tensors(model):
        if tensor.data_location == onnx.TensorProto.EXTERNAL or tensor.external_data:
            raise AsapError(
                f"{path}: its tensor '{shown(tensor.name, 100)}' lies in another file; save it "
                "with its weights inside"
            )
    return content


def tensors(model: Any) -> Iterator[Any]:
    """All tensors of a model, those of subgraphs and functions among them."""
    waiting = [model.graph, *model.functions]
    while waiting:
        graph = waiting.pop()
        # A function has no values of its own.
        yield from getattr(graph, "initializer", ())
        for sparse in getattr(graph, "sparse_initializer", ()):
            yield from (sparse.values, sparse.indices)
        for node in graph.node:
            for attribute in node.attribute:
                yield from (attribute.t, *attribute.tensors)
                for sparse in (attribute.sparse_tensor, *attribute.sparse_tensors):
                    yield from (sparse.values, sparse.indices)
                waiting += [attribute.g, *attribute.graphs]
