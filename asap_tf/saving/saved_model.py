"""What a SavedModel may hold: it is a program, which TensorFlow runs as it is told to.

TensorFlow has no sandbox: a graph may read and write any file and talk to any machine, and parts of
it run while it is loaded. So the graph is read here as data, without TensorFlow acting on it, and
what is loaded is a copy that has nothing in it but functions made of the operators listed below.
"""

from __future__ import annotations

import contextlib
import math
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from asap_tf.core.errors import AsapError, shown

GRAPH = "saved_model.pb"

OPERATORS = set(
    "Abs Acos Acosh Add AddN AddV2 All Any ArgMax ArgMin Asin Asinh Atan Atan2 Atanh AvgPool "
    "BatchMatMul BatchMatMulV2 BatchMatMulV3 BatchToSpace BatchToSpaceND BiasAdd BiasAddV1 "
    "BroadcastArgs BroadcastTo Cast Ceil ClipByValue Concat ConcatV2 Const Conv2D "
    "Conv2DBackpropInput Cos Cosh CropAndResize Cumprod Cumsum DepthToSpace DepthwiseConv2dNative "
    "DivNoNan Einsum Elu EnsureShape Equal Erf Erfc Exp ExpandDims Expm1 "
    "FakeQuantWithMinMaxArgs FakeQuantWithMinMaxVars FakeQuantWithMinMaxVarsPerChannel Fill Floor "
    "FloorDiv FloorMod FusedBatchNorm FusedBatchNormV2 FusedBatchNormV3 Gather GatherNd GatherV2 "
    "Greater GreaterEqual Identity IdentityN Inv InvertPermutation IsFinite IsInf IsNan L2Loss "
    "LRN LeakyRelu Less LessEqual Log Log1p LogSoftmax LogicalAnd LogicalNot LogicalOr MatMul Max "
    "MaxPool MaxPoolV2 Maximum Mean Min Minimum MirrorPad Mod Mul MulNoNan Neg NoOp NotEqual "
    "OneHot OnesLike Pack Pad PadV2 PartitionedCall Placeholder PlaceholderWithDefault Pow "
    "PreventGradient Prod QuantizeAndDequantizeV2 QuantizeAndDequantizeV3 QuantizeAndDequantizeV4 "
    "Range Rank ReadVariableOp RealDiv Reciprocal Relu Relu6 Reshape ResizeArea ResizeBicubic "
    "ResizeBilinear ResizeNearestNeighbor Reverse ReverseV2 Rint Roll Round Rsqrt ScatterNd Select "
    "SelectV2 Selu Shape ShapeN Sigmoid Sign Sin Sinh Size Slice Snapshot Softmax Softplus "
    "Softsign SpaceToBatch SpaceToBatchND SpaceToDepth Split SplitV Sqrt Square SquaredDifference "
    "Squeeze StatefulPartitionedCall StopGradient StridedSlice Sub Sum Tan Tanh "
    "TensorScatterUpdate Tile TopKV2 Transpose TruncateDiv TruncateMod Unpack Where Xdivy Xlog1py "
    "Xlogy ZerosLike".split()
)
"""Arithmetic on tensors, calls of functions in the same file, and reads of its own variables."""

TRT_ENGINE = "TRTEngineOp"
TRT_OPERATORS = {
    TRT_ENGINE,
    "CreateTRTResourceHandle",
    "DestroyResourceOp",
    "InitializeTRTResource",
}
"""Of TF-TRT: it loads the engines that lie among the assets."""

OBJECTS = {
    "bare_concrete_function",
    "captured_tensor",
    "constant",
    "function",
    "user_object",
    "variable",
}
TRT_OBJECTS = {"asset", "resource"}

CLASSES = {
    "_generic_user_object",
    "signature_map",
    "trackable_dict_wrapper",
    "trackable_list_wrapper",
    "trackable_tuple_wrapper",
}
"""Of objects: containers of others."""

LARGEST_GRAPH = 1 << 30
MOST_CONSTANTS = 1 << 30
"""Bytes; a constant of a repeated value takes a few in the file."""


def read_graph(path: Path) -> Any:
    """The `SavedModel` message in a folder, read as data.

    Raises:
        AsapError: if it is damaged, or not one graph of TensorFlow 2.
    """
    from tensorflow.core.protobuf import saved_model_pb2

    file = path / GRAPH
    model = saved_model_pb2.SavedModel()
    try:
        if file.stat().st_size > LARGEST_GRAPH:
            raise ValueError("too large")
        model.ParseFromString(file.read_bytes())
    except Exception as error:
        raise AsapError(f"{file}: damaged or another kind of file") from error
    if len(model.meta_graphs) != 1 or not model.meta_graphs[0].HasField("object_graph_def"):
        raise AsapError(f"{path}: not a SavedModel of TensorFlow 2 with one graph")
    return model


@contextlib.contextmanager
def checked_copy(path: Path, model: Any) -> Iterator[Path]:
    """A copy of a SavedModel that TensorFlow may load, which no one else can change.

    Functions that nothing calls, such as those by which TensorFlow saves variables, are left out.

    Args:
        path: The SavedModel's folder.
        model: What `read_graph` gives; changed in place.

    Yields:
        A folder, removed at the end.

    Raises:
        AsapError: if it holds operators or objects that no network needs, or is damaged.
    """
    (graph,) = model.meta_graphs
    values = files_in(path, "variables")
    try:
        keep_called(graph)
        problem = problem_of(graph, sum(file.stat().st_size for file in values))
    except Exception as error:
        raise AsapError(f"{path / GRAPH}: damaged") from error
    if problem:
        raise AsapError(f"{path}: {problem}")
    if has_trt(model):
        values += files_in(path, "assets")
    with tempfile.TemporaryDirectory(prefix="asap-tf-") as copy:
        for file in values:
            target = Path(copy, file.relative_to(path))
            target.parent.mkdir(exist_ok=True)
            shutil.copyfile(file, target)
        Path(copy, GRAPH).write_bytes(model.SerializeToString())
        yield Path(copy)


def files_in(path: Path, folder: str) -> list[Path]:
    """The regular files of a folder within a SavedModel.

    Raises:
        AsapError: if one is a link to somewhere else: its bytes could come out as labels.
    """
    files = sorted(file for file in (path / folder).glob("*") if file.is_file())
    for file in files:
        if not file.resolve().is_relative_to(path.resolve()):
            raise AsapError(f"{file}: a link out of its folder; copy the file there")
    return files


def has_trt(model: Any) -> bool:
    """Whether a SavedModel was converted by TF-TRT."""
    return any(node.op == TRT_ENGINE for node in all_nodes(model.meta_graphs[0]))


def keep_called(graph: Any) -> None:
    """Removes from a graph all that its objects cannot call: other functions, nodes but constants.

    Args:
        graph: A `MetaGraphDef`, changed in place.
    """
    library = graph.graph_def.library
    functions = {function.signature.name: function for function in library.function}
    called: set[str] = set()
    waiting = list(graph.object_graph_def.concrete_functions)
    while waiting:
        name = waiting.pop()
        if name in functions and name not in called:
            called.add(name)
            waiting += callees(functions[name])
    for functions_or_gradients, kept in (
        (library.function, lambda f: f.signature.name in called),
        (library.gradient, lambda g: {g.function_name, g.gradient_func} <= called),
        (graph.graph_def.node, lambda node: node.op == "Const"),
    ):
        remaining = [item for item in functions_or_gradients if kept(item)]
        del functions_or_gradients[:]
        functions_or_gradients.extend(remaining)
    del library.registered_gradients[:]
    # By these TensorFlow would put one function in the place of another.
    for function in library.function:
        for name in [name for name in function.attr if "implements" in name]:
            del function.attr[name]


def callees(function: Any) -> Iterator[str]:
    """Names of the functions that a function's nodes refer to."""
    for node in function.node_def:
        yield node.op
        for value in node.attr.values():
            yield value.func.name
            yield from (each.name for each in value.list.func)


def problem_of(graph: Any, variable_bytes: int) -> str | None:
    """What a graph has that a network has no need of, or None.

    Args:
        graph: A `MetaGraphDef` after `keep_called`.
        variable_bytes: Size of the files that hold the values of its variables.
    """
    functions = {function.signature.name for function in graph.graph_def.library.function}
    nodes = list(all_nodes(graph))
    trt = any(node.op == TRT_ENGINE for node in nodes)
    allowed = OPERATORS | (TRT_OPERATORS if trt else set())
    if foreign := {node.op for node in nodes} - allowed:
        return refusal("operators", foreign)
    if missing := {name for f in graph.graph_def.library.function for name in callees(f)} - (
        functions | allowed | {""}
    ):
        return refusal("functions", missing)
    kinds = {item.WhichOneof("kind") or "unknown" for item in graph.object_graph_def.nodes}
    if foreign := kinds - OBJECTS - (TRT_OBJECTS if trt else set()):
        return refusal("objects", foreign)
    users = (n.user_object for n in graph.object_graph_def.nodes if n.HasField("user_object"))
    if foreign := {user.identifier for user in users} - CLASSES:
        return refusal("classes", foreign)
    if any(asset.filename != Path(asset.filename).name for asset in graph.asset_file_def):
        return refusal("files", {asset.filename for asset in graph.asset_file_def})
    constants = sum(bytes_of(v.tensor.dtype, v.tensor.tensor_shape) for v in constants_in(nodes))
    if constants > MOST_CONSTANTS:
        return f"damaged: its constants would take {constants / 1e9:.1f} GB"
    variables = [n.variable for n in graph.object_graph_def.nodes if n.HasField("variable")]
    size = sum(bytes_of(variable.dtype, variable.shape) for variable in variables)
    if size > variable_bytes:
        return f"damaged: {size} bytes of variables, its files have {variable_bytes}"
    return None


def all_nodes(graph: Any) -> Iterator[Any]:
    """The nodes of a graph and of its functions."""
    yield from graph.graph_def.node
    for function in graph.graph_def.library.function:
        yield from function.node_def


def constants_in(nodes: Iterable[Any]) -> Iterator[Any]:
    """The attributes of nodes that are tensors."""
    for node in nodes:
        yield from (value for value in node.attr.values() if value.HasField("tensor"))


def bytes_of(dtype: int, shape: Any) -> int:
    """What a tensor takes in memory."""
    import tensorflow as tf

    return math.prod(abs(axis.size) for axis in shape.dim) * tf.dtypes.as_dtype(dtype).size


def refusal(kind: str, names: set[str]) -> str:
    """A sentence for people."""
    first = ", ".join(shown(name, 60) for name in sorted(names)[:5])
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return (
        f"a SavedModel is a program, and this one has {kind} that no network needs: {first}{more}. "
        "It could read, write and send your files; `trust` it only if you know who made it"
    )
