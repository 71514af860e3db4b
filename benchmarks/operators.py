"""Where the time of exported networks goes, operator by operator.

    python benchmarks/operators.py export/asap_int8.tflite export/asap_int8.xml

ONNX Runtime and OpenVINO time their operators themselves. LiteRT does not tell, so each of its
operators is run as a graph of its own, which finds its input in the caches: for ASAP the sum is 4 %
above what the whole takes.
"""

from __future__ import annotations

import json
import tempfile
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np
from naive import in_litert, noise
from tqdm import tqdm

from asap_tf.benchmark.artifact import lead_in, timed
from asap_tf.benchmark.machine import this_machine
from asap_tf.benchmark.markdown import machine_lines, table, warning_lines

CONVOLUTIONS = {"CONV_2D", "DEPTHWISE_CONV_2D", "Conv", "ConvInteger", "QLinearConv", "FusedConv"}
CONVOLUTIONS |= {"Convolution", "GroupConvolution"}


@dataclass(frozen=True)
class Operator:
    """An operator of an artifact, in its place.

    Attributes:
        name: Its own, or that of what it gives; it holds the names of the layers it comes from.
        kind: As the runtime calls it.
        milliseconds: The least of its times: what else runs on a machine only adds to it.
    """

    name: str
    kind: str
    milliseconds: float


def profile_litert(path: Path, threads: int, rounds: int, part: str = "") -> list[Operator]:
    """Of a `.tflite` file, each operator alone; only those whose names have `part`."""
    from tensorflow.lite.python import schema_py_generated as schema
    from tensorflow.lite.tools import flatbuffer_utils

    model = flatbuffer_utils.convert_bytearray_to_object(bytearray(path.read_bytes()))
    (graph,) = model.subgraphs
    names = {number: name for name, number in vars(schema.BuiltinOperator).items()}
    operators, tensors, buffers = graph.operators, graph.tensors, model.buffers
    made = {*graph.inputs} | {tensor for operator in operators for tensor in operator.outputs}
    model.signatureDefs = []
    found = []
    named = [(tensors[operator.outputs[0]].name.decode(), operator) for operator in operators]
    wanted = [(name, operator) for name, operator in named if part in name]
    for name, operator in tqdm(wanted, path.name, unit="operator", disable=None):
        graph.operators = [operator]
        graph.inputs = np.array(sorted(made & {*operator.inputs}), np.int32)
        graph.outputs = np.array(operator.outputs, np.int32)
        used = {tensors[tensor].buffer for tensor in operator.inputs if tensor >= 0}
        model.buffers = [b if i in used else schema.BufferT() for i, b in enumerate(buffers)]
        run = in_litert(bytes(flatbuffer_utils.convert_object_to_bytearray(model)), threads)
        code = model.operatorCodes[operator.opcodeIndex]
        kind = names[max(code.builtinCode, code.deprecatedBuiltinCode)]
        lead_in(run)
        took = min(timed(run) for _ in range(rounds))
        found.append(Operator(name, kind, 1000 * took))
    return found


def profile_onnxruntime(path: Path, threads: int, rounds: int) -> list[Operator]:
    """Of an `.onnx` file, by ONNX Runtime's profiler."""
    import onnxruntime

    with tempfile.TemporaryDirectory() as folder:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.enable_profiling = True
        options.profile_file_prefix = f"{folder}/profile"
        session = onnxruntime.InferenceSession(str(path), options)
        (port,) = session.get_inputs()
        x = noise(port.shape, np.dtype("uint8" if "uint8" in port.type else "float32"))
        for _ in range(rounds):
            session.run(None, {port.name: x})
        events = json.loads(Path(session.end_profiling()).read_text())
    microseconds = defaultdict(list)
    for event in events:
        if event.get("cat") == "Node" and event["name"].endswith("_kernel_time"):
            microseconds[event["name"], event["args"]["op_name"]].append(event["dur"])
    return [Operator(*key, min(took) / 1000) for key, took in microseconds.items()]


def profile_openvino(path: Path, threads: int, rounds: int) -> list[Operator]:
    """Of an `.xml` file, by OpenVINO's counters."""
    from asap_tf.runtime.openvino_network import core

    options = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": threads, "PERF_COUNT": True}
    compiled = core().compile_model(core().read_model(path), "CPU", options)
    request, port = compiled.create_infer_request(), compiled.inputs[0]
    x = noise(port.shape, port.element_type.to_dtype())
    milliseconds = defaultdict(list)
    for _ in range(rounds):
        request.infer([x])
        for node in request.profiling_info:
            took = node.real_time.total_seconds() * 1000
            milliseconds[node.node_name, node.node_type].append(took)
    return [Operator(*key, min(took)) for key, took in milliseconds.items()]


PROFILERS: dict[str, Callable[[Path, int, int], list[Operator]]] = {
    ".tflite": profile_litert,
    ".onnx": profile_onnxruntime,
    ".xml": profile_openvino,
}


def rows_of(profile: list[Operator]) -> list[list[str]]:
    """The table's rows: kinds of operators, the slowest first; the last is what is no convolution.

    Kinds that take less than 1 % together are left out, but counted in the sums.
    """
    kinds: dict[str, list[float]] = defaultdict(list)
    for operator in profile:
        kinds[operator.kind].append(operator.milliseconds)
    total = sum(map(sum, kinds.values()))
    rest = sum(sum(took) for kind, took in kinds.items() if kind not in CONVOLUTIONS)
    found = sorted(kinds.items(), key=lambda item: -sum(item[1]))
    listed = [(k, str(len(v)), sum(v)) for k, v in found if sum(v) >= 0.01 * total]
    sums = [("all", str(len(profile)), total), ("outside convolutions", "", rest)]
    return [[kind, n, f"{ms:.2f}", f"{ms / total:.0%}"] for kind, n, ms in listed + sums]


@click.command()
@click.argument("artifacts", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True))
@click.option("--threads", default=2, show_default=True)
@click.option("--rounds", default=15, show_default=True)
def main(artifacts: tuple[Path, ...], threads: int, rounds: int) -> None:
    """Prints a table for every artifact."""
    for path in artifacts:
        if path.suffix not in PROFILERS:
            raise click.UsageError(f"{path}: want a .tflite, .onnx or .xml file")
    machine = this_machine()
    print(*machine_lines(machine), *warning_lines(machine), sep="\n")
    for path in artifacts:
        profile = PROFILERS[path.suffix](path, threads, rounds)
        print(f"\n### {path.name}, {threads} threads\n")
        header = ("operator", "count", "ms", "share")
        print(*table(header, rows_of(profile), "lrrr"), sep="\n")


if __name__ == "__main__":
    main()
