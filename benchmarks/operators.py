"""Where the time of exported networks goes, operator by operator.

    python benchmarks/operators.py export/asap_int8.tflite export/asap_int8.xml

ONNX Runtime and OpenVINO time their operators themselves. LiteRT does not tell, so its graph is
cut after every operator, and what an operator takes is how much longer the graph with it runs than
the one without: an operator that is joined to the next one shows there.
"""

from __future__ import annotations

import json
import tempfile
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import numpy as np
from naive import noise
from tqdm import tqdm

from asap_tf.benchmark.artifact import timed
from asap_tf.benchmark.machine import this_machine
from asap_tf.benchmark.markdown import machine_lines, table, warning_lines

CONVOLUTIONS = {"CONV_2D", "DEPTHWISE_CONV_2D", "Conv", "ConvInteger", "QLinearConv", "FusedConv"}
CONVOLUTIONS |= {"Convolution", "GroupConvolution"}

Profile = list[tuple[str, float]]
"""Kind of each operator, in the order in which they run where that is known, and milliseconds."""


def profile_litert(path: Path, threads: int, rounds: int) -> Profile:
    """Of a `.tflite` file, from the times of its beginnings."""
    from ai_edge_litert.interpreter import Interpreter
    from tensorflow.lite.python import schema_py_generated as schema
    from tensorflow.lite.tools import flatbuffer_utils

    content = path.read_bytes()

    def beginning(count: int) -> Any:
        """The graph of the first operators, with all that later ones take for its outputs."""
        model = flatbuffer_utils.convert_bytearray_to_object(bytearray(content))
        graph = model.subgraphs[0]
        graph.operators, rest = graph.operators[:count], graph.operators[count:]
        made = {tensor for operator in graph.operators for tensor in operator.outputs}
        wanted = {tensor for operator in rest for tensor in operator.inputs} & made
        graph.outputs = np.array(sorted(wanted | {*graph.operators[-1].outputs}), np.int32)
        model.signatureDefs = []
        interpreter = Interpreter(
            model_content=bytes(flatbuffer_utils.convert_object_to_bytearray(model)),
            num_threads=threads,
        )
        interpreter.allocate_tensors()
        details = interpreter.get_input_details()[0]
        interpreter.set_tensor(details["index"], noise(details["shape"], details["dtype"]))
        interpreter.invoke()
        return interpreter

    whole = flatbuffer_utils.convert_bytearray_to_object(bytearray(content))
    names = {number: name for name, number in vars(schema.BuiltinOperator).items()}
    kinds = []
    for operator in whole.subgraphs[0].operators:
        code = whole.operatorCodes[operator.opcodeIndex]
        kinds.append(names[max(code.builtinCode, code.deprecatedBuiltinCode)])
    took = []
    for count in tqdm(range(1, len(kinds) + 1), path.name, unit="operator", disable=None):
        interpreter = beginning(count)
        took.append(1000 * float(np.median([timed(interpreter.invoke) for _ in range(rounds)])))
    # A graph that goes on cannot take less: what seems so is noise.
    return list(zip(kinds, np.diff(np.maximum.accumulate(took), prepend=0), strict=True))


def profile_onnxruntime(path: Path, threads: int, rounds: int) -> Profile:
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
    return [(kind, np.median(took) / 1000) for (_, kind), took in microseconds.items()]


def profile_openvino(path: Path, threads: int, rounds: int) -> Profile:
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
    return [(kind, np.median(took)) for (_, kind), took in milliseconds.items()]


PROFILERS: dict[str, Callable[[Path, int, int], Profile]] = {
    ".tflite": profile_litert,
    ".onnx": profile_onnxruntime,
    ".xml": profile_openvino,
}


def rows_of(profile: Profile) -> list[list[str]]:
    """The table's rows: kinds of operators, the slowest first; the last is what is no convolution.

    Kinds that take less than 1 % together are left out, but counted in the sums.
    """
    kinds: dict[str, list[float]] = defaultdict(list)
    for kind, took in profile:
        kinds[kind].append(took)
    total = sum(took for _, took in profile)
    rest = sum(took for kind, took in profile if kind not in CONVOLUTIONS)
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
