"""What TF-TRT and TensorRT make of a graph, found without a GPU and without either of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from asap_tf.core.optional import require
from asap_tf.export.graph import Deployment
from asap_tf.export.trt_operators import ONNX_8, ONNX_10, TF_TRT
from asap_tf.export.writers.tf_trt import REWRITES

if TYPE_CHECKING:
    import tensorflow as tf

MINIMUM_SEGMENT = 3
"""TF-TRT makes no engine of fewer operators, constants counted (its default)."""


@dataclass
class Segmentation:
    """How TF-TRT divides a graph.

    Attributes:
        segments: Names of the operators of each engine.
        before: Operators left to TensorFlow between the input and the engines.
        between: Those that engines feed and that feed engines, or that are beside them.
        after: Those between the engines and the output.
        refusals: Why an operator is left to TensorFlow, by its name.
    """

    segments: list[frozenset[str]]
    before: list[str] = field(default_factory=list)
    between: list[str] = field(default_factory=list)
    after: list[str] = field(default_factory=list)
    refusals: dict[str, str] = field(default_factory=dict)

    @property
    def whole(self) -> bool:
        """Whether there is one engine, and nothing outside but at input and output."""
        return len(self.segments) == 1 and not self.between


def report(deployment: Deployment, onnx_file: Path | None = None) -> str:
    """What becomes of every operator, as Markdown.

    Args:
        deployment: Deployed network; TF-TRT gets it with the rewrites of its writer.
        onnx_file: The ONNX graph that TensorRT gets, if there is one.

    Raises:
        AsapError: if there is one and the package onnx is not installed.

    Example:
        >>> print(report(deployment, Path("bundle/asap_fp32.onnx")))
    """
    text = tf_trt_report(deployment)
    return f"{text}\n\n{onnx_report(onnx_file)}" if onnx_file else text


def segmentation(graph: tf.Graph, minimum: int = MINIMUM_SEGMENT) -> Segmentation:
    """The engines that TF-TRT makes of a frozen graph.

    TF-TRT joins operators that it takes along their edges, from output to input, as long as no
    path leaves a segment and comes back (`tensorflow/compiler/tf2tensorrt/segment`).

    Args:
        graph: Of constants, without control flow.
        minimum: Engines of fewer operators are not made; their constant inputs count.
    """
    operations = _variable(graph)
    refusals = {name: why for name, o in operations.items() if (why := _tf_trt_refusal(o))}
    after = {
        name: {c.name for t in o.outputs for c in t.consumers()} & operations.keys()
        for name, o in operations.items()
    }
    members = {name: {name} for name in operations}
    for name in reversed(list(operations)):
        while name not in refusals and name in members:
            joined = next(
                (n for n in sorted(after[name]) if n not in refusals and _direct(after, name, n)),
                None,
            )
            if joined is None:
                break
            members[name] |= members.pop(joined)
            after[name] |= after.pop(joined)
            after[name] -= {name, joined}
            for others in after.values():
                if joined in others:
                    others.remove(joined)
                    others.add(name)
            after[name].discard(name)
    found = [
        frozenset(group)
        for name, group in members.items()
        if name not in refusals and _weight(group, operations) >= minimum
    ]
    return _sided(Segmentation(found, refusals=refusals), operations)


def _variable(graph: tf.Graph) -> dict[str, Any]:
    """The operations that depend on the input, in topological order."""
    operations: dict[str, Any] = {}
    for operation in graph.get_operations():
        if operation.type == "Placeholder" or any(
            t.op.name in operations for t in operation.inputs
        ):
            operations[operation.name] = operation
    return operations


def _direct(after: dict[str, set[str]], start: str, end: str) -> bool:
    """Whether the only way from one to the other is the edge between them."""
    waiting, seen = list(after[start] - {end}), set()
    while waiting:
        name = waiting.pop()
        if name == end:
            return False
        if name not in seen:
            seen.add(name)
            waiting += after[name]
    return True


def _weight(group: Iterable[str], operations: dict[str, Any]) -> int:
    """How many operators TF-TRT counts, constants among them."""
    idle = {"Identity", "Snapshot", "StopGradient"}
    counted = [name for name in group if operations[name].type not in idle]
    inputs = {t.op.name for name in counted for t in operations[name].inputs}
    return len(counted) + len(inputs - operations.keys())


def _sided(found: Segmentation, operations: dict[str, Any]) -> Segmentation:
    """Sorts what is in no segment by the side of the engines it is on."""
    inside = frozenset().union(*found.segments)
    fed: set[str] = set()
    for name, operation in operations.items():
        if any(t.op.name in inside | fed for t in operation.inputs):
            fed.add(name)
    feeding: set[str] = set()
    for name in reversed(list(operations)):
        consumers = {c.name for t in operations[name].outputs for c in t.consumers()}
        if consumers & (inside | feeding):
            feeding.add(name)
    for name in [name for name in operations if name not in inside]:
        side = "after" if name not in feeding else "before" if name not in fed else "between"
        getattr(found, side).append(name)
        found.refusals.setdefault(name, "too few around it for an engine")
    return found


def _tf_trt_refusal(operation: Any) -> str | None:
    """Why TF-TRT leaves an operator to TensorFlow; None if it takes it."""
    kind = operation.type
    takes = [t.dtype.name for t in operation.inputs]
    gives = [t.dtype.name for t in operation.outputs]
    if kind == "Placeholder" or not any(t.consumers() for t in operation.outputs):
        return "the graph's input or output"
    if kind not in TF_TRT:
        return "no converter"
    if kind == "Cast" and not {*takes, *gives} <= {"float32", "float16"}:
        return f"{takes[0]} to {gives[0]}: floats only"
    if foreign := {*takes, *gives} - {"float32", "float16", "int32", "bool"}:
        return f"{', '.join(sorted(foreign))}: no type of its engines"
    if kind == "ResizeBilinear" and not operation.get_attr("align_corners"):
        return "only with align_corners"
    return None


def tf_trt_report(deployment: Deployment) -> str:
    """The half of `report` on TF-TRT."""
    rewritten = deployment.graph(REWRITES).function.graph
    found, plain = segmentation(rewritten), segmentation(deployment.graph().function.graph)
    operations = _variable(rewritten)
    kinds = Counter(o.type for o in operations.values())
    refused: dict[str, Counter] = {}
    for name, why in found.refusals.items():
        refused.setdefault(operations[name].type, Counter())[why] += 1
    rows = [(kind, count, _verdict(count, refused.get(kind))) for kind, count in kinds.items()]

    def kinds_of(names: list[str]) -> str:
        return ", ".join(operations[name].type for name in names) or "nothing"

    outside = f"{kinds_of(found.before)} before it, {kinds_of(found.after)} after it"
    if found.between:
        outside += f", {kinds_of(found.between)} in between"
    return (
        "### TF-TRT (TensorFlow 2.17, TensorRT 8.6)\n\n"
        f"{_markdown(('operator', 'count', 'taken'), rows)}\n\n"
        f"**{_count(found)}**: {sum(map(len, found.segments))} of {len(operations)} operators. "
        f"Left to TensorFlow: {outside}.\nBilinear resizing is written as products of matrices; "
        f"otherwise there would be {_count(plain)}."
    )


def _count(found: Segmentation) -> str:
    return f"{len(found.segments)} segment{'s' * (len(found.segments) != 1)}"


def onnx_refusals(file: Path, known: frozenset[str] = ONNX_8) -> Counter[tuple[str, str]]:
    """What TensorRT's ONNX parser does not take of a graph.

    Args:
        file: The graph.
        known: Operators that it has a converter for: `ONNX_8` of TensorRT 8.6, or `ONNX_10`.

    Returns:
        How often, by operator and reason; empty if it takes the whole.

    Raises:
        AsapError: if the package onnx is not installed.
    """
    return Counter((node.op_type, why) for node, why in _onnx_nodes(file, known) if why)


def onnx_report(file: Path) -> str:
    """The half of `report` on TensorRT's ONNX parser."""
    kinds = Counter(node.op_type for node, _ in _onnx_nodes(file, ONNX_8))
    verdicts = []
    for known in (ONNX_8, ONNX_10):
        refused: dict[str, Counter] = {}
        for (kind, why), count in onnx_refusals(file, known).items():
            refused.setdefault(kind, Counter())[why] = count
        verdicts.append({kind: _verdict(n, refused.get(kind)) for kind, n in kinds.items()})
    rows = [(kind, count, *(v[kind] for v in verdicts)) for kind, count in kinds.items()]
    engines = [
        "one engine, nothing outside" if {*v.values()} == {"yes"} else "none" for v in verdicts
    ]
    return (
        f"### TensorRT's ONNX parser, {file.name}\n\n"
        f"{_markdown(('operator', 'count', '8.6', '10, 11'), rows)}\n\n"
        f"**8.6: {engines[0]}; 10 and 11: {engines[1]}.**"
    )


def _onnx_nodes(file: Path, known: frozenset[str]) -> Iterator[tuple[Any, str | None]]:
    """Every operator of an ONNX graph, with what TensorRT has against it."""
    onnx = require("onnx", "onnx")
    model = onnx.shape_inference.infer_shapes(onnx.load(str(file)))
    types = onnx.TensorProto
    tensors = [*model.graph.input, *model.graph.output, *model.graph.value_info]
    dtypes = {t.name: t.type.tensor_type.elem_type for t in tensors}
    dtypes |= {t.name: t.data_type for t in model.graph.initializer}
    constants = {t.name: onnx.numpy_helper.to_array(t) for t in model.graph.initializer}
    floats = {types.FLOAT, types.FLOAT16}

    def refusal(node: Any) -> str | None:
        kind = node.op_type
        takes, gives = dtypes.get(node.input[0]), dtypes.get(node.output[0])
        if kind not in known:
            return "no converter"
        if kind in ("QuantizeLinear", "DequantizeLinear"):
            zero = constants.get(node.input[2]) if len(node.input) > 2 else None
            if types.INT32 in (takes, gives):
                return "int8 only, not int32"
            if node.input[0] in constants and kind == "DequantizeLinear" and known is ONNX_8:
                return "weights as floats before a Q/DQ pair only"
            if zero is not None and (zero.dtype != "int8" or zero.any()):
                return "int8 around zero only"
        elif types.UINT8 in (takes, gives):
            if kind != "Cast" or not {takes, gives} <= {types.UINT8, *floats}:
                return "uint8 at input and output only, cast from and to floats"
        elif kind == "Resize":
            modes = [attribute.s for attribute in node.attribute if attribute.name == "mode"]
            if modes not in ([b"linear"], [b"nearest"]):
                return "linear and nearest only"
        return None

    for node in model.graph.node:
        yield node, refusal(node)


def _verdict(count: int, refused: Counter | None) -> str:
    if not refused:
        return "yes"
    whys = "; ".join(f"{why}" if n == count else f"{n}: {why}" for why, n in refused.items())
    return f"no ({whys})" if refused.total() == count else f"{count - refused.total()}; not {whys}"


def _markdown(header: tuple[str, ...], rows: Iterable[tuple[Any, ...]]) -> str:
    lines = [header, ("---",) * len(header), *sorted(rows)]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)
