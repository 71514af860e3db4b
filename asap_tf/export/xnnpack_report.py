"""XNNPACK report: which operators of a `.tflite` file XNNPACK runs, and which are float."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from asap_tf.core.optional import require
from asap_tf.core.system import stderr_silenced


@dataclass(frozen=True)
class XNNPACKReport:
    """How a `.tflite` file is run on a processor.

    Attributes:
        partitions: Pieces of the graph that the XNNPACK delegate took; 1 is best.
        outside: Operators that are left to LiteRT's own kernels, with their number.
        float32: Operators whose result is float32, with their number.
    """

    partitions: int
    outside: Counter[str]
    float32: Counter[str]

    def __str__(self) -> str:
        text = f"{self.partitions} XNNPACK partition{'s' * (self.partitions != 1)}"
        text += f"; outside: {_listed(self.outside)}"
        # In a float network it would be a list of everything.
        if "CONV_2D" not in self.float32:
            text += f"; float32: {_listed(self.float32)}"
        return text


def xnnpack_report(path: Path) -> XNNPACKReport:
    """Looks at a file as the interpreter has prepared it.

    Args:
        path: A `.tflite` file, undamaged.

    Raises:
        AsapError: if LiteRT is not installed.

    Examples:
        >>> xnnpack_report(Path("export/asap_int8.tflite")).partitions
        1
    """
    litert = require("ai_edge_litert.interpreter", "litert")
    with stderr_silenced():
        interpreter = litert.Interpreter(str(path), num_threads=1)
        interpreter.allocate_tensors()
    ops = interpreter._get_ops_details()
    operators = [op for op in ops if op["op_name"] != "DELEGATE"]
    delegates = [op for op in ops if op["op_name"] == "DELEGATE"]
    producers = {tensor: op for op in operators for tensor in op["outputs"]}
    delegated: set[int] = set()
    for delegate in delegates:
        # The operators that it replaced lie between its outputs and its inputs.
        inputs, pending = set(delegate["inputs"]), list(delegate["outputs"])
        while pending:
            tensor = pending.pop()
            op = producers.get(tensor)
            if tensor not in inputs and op is not None and op["index"] not in delegated:
                delegated.add(op["index"])
                pending += list(op["inputs"])
    floats = {t["index"] for t in interpreter.get_tensor_details() if t["dtype"] == np.float32}
    return XNNPACKReport(
        len(delegates),
        Counter(op["op_name"] for op in operators if op["index"] not in delegated),
        Counter(op["op_name"] for op in operators if floats & set(op["outputs"])),
    )


def _listed(counts: Counter[str]) -> str:
    return ", ".join(f"{n} {name}" for name, n in sorted(counts.items())) or "none"
