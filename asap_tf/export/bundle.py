"""A folder that builds and times the TensorRT engines on a machine with a GPU, by one command."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from asap_tf.core.formats import FLOORS
from asap_tf.core.optional import require
from asap_tf.export import build_and_time, build_engine
from asap_tf.export.package import Contents, Package
from asap_tf.runtime import engine
from asap_tf.saving import sidecar

FOLDER = "tensorrt_bundle"
"""Name of the bundle's folder."""

README = """# TensorRT engines of an ASAP network

On a machine with an NVIDIA GPU, in this folder:

    pip install numpy tensorrt-rtx-cu12      # GeForce RTX, RTX PRO; for any other: tensorrt-cu12
    python3 build_and_time.py

takes the engines that are in here ({shipped}), or builds its own ({precisions}) where they do not
fit, compares their labels with those of the Keras model on {frames} frames, times them, prints a
table and writes `results.json`. It ends with 1 if an engine cannot be had or agrees less than
{floors}.

Network alone: from frame to labels, both on the GPU, waiting for it each time. With copies: from
and to page-locked memory of the processor. Engines take turns, after warming up.

| file | |
|---|---|
| `build_and_time.py`, `build_engine.py`, `engine.py` | the program; asap-tf is not needed |
| `asap_*_rtx.engine` | engines of TensorRT for RTX, built on another machine |
| `asap_*.onnx` | the network, uint8 RGB frames {shape} to {output} |
| `frames.npz` | `frames` and the Keras model's `labels` |
| `operators.md` | what is in the graphs, and what NVIDIA's builder made of them |
| `bundle.json` | size, floors, classes, versions |
"""


NOT_JUDGED = "NVIDIA's parser was not asked: pip install 'asap-tf[trt]', and export again"
"""Said in a bundle without engines."""


def tensorrt_bundle(calibrated: bool) -> Package:
    """The folder that compares and times engines on another machine.

    Where TensorRT for RTX is installed, its engines are in it.

    Args:
        calibrated: Whether there are frames to calibrate on, and int8 is to be in it.
    """
    kind = "tensorrt_rtx" if find_spec("tensorrt_rtx") else "tensorrt_onnx"
    precisions = ("fp32", "fp16", "int8") if calibrated else ("fp32", "fp16")
    hint = "take it to a machine with a GPU: python3 build_and_time.py"
    return Package(kind, precisions, complete, hint, FOLDER)


def complete(contents: Contents) -> None:
    """Adds all that opening or building, checking and timing engines elsewhere takes.

    Args:
        contents: Proven artifacts; the graph of an engine is beside it.
    """
    folder, metadata = contents.folder, contents.metadata
    graphs = {p: path.with_suffix(".onnx") for p, path in contents.artifacts.items()}
    engines = {p: path for p, path in contents.artifacts.items() if path.suffix == ".engine"}
    frames, labels = contents.reference.frames.images, contents.reference.answers.labels
    np.savez_compressed(folder / "frames.npz", frames=frames, labels=labels)
    for module in (build_and_time, build_engine, engine):
        shutil.copy(str(module.__file__), folder)
    floors = {precision: FLOORS[precision] for precision in graphs}
    names = {precision: path.name for precision, path in graphs.items()}
    entries = {**metadata, "floors": floors, "onnx": names}
    (folder / "bundle.json").write_text(json.dumps(entries, indent=1), encoding="utf-8")
    operators = _operators(graphs, [sidecar(file) for file in engines.values()])
    (folder / "operators.md").write_text(operators, encoding="utf-8")
    readme = README.format(
        shipped=", ".join(engines) or "none",
        precisions=", ".join(floors),
        frames=len(frames),
        floors=", ".join(f"{floor:.1%} ({precision})" for precision, floor in floors.items()),
        shape=(metadata["batch"], *metadata["size"], 3),
        output=metadata["output"],
    )
    (folder / "README.md").write_text(readme, encoding="utf-8")


def _operators(onnx_files: dict[str, Path], sidecars: list[Path]) -> str:
    """How often each operator is in each graph, and what NVIDIA's builder made of them."""
    onnx = require("onnx", "onnx")
    counts = {
        precision: Counter(node.op_type for node in onnx.load(str(file)).graph.node)
        for precision, file in onnx_files.items()
    }
    lines = [["operator", *counts], ["---"] * (1 + len(counts))]
    for kind in sorted(set().union(*counts.values())):
        lines.append([kind, *(str(count[kind]) for count in counts.values())])
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    notes = [f"- {file.stem}: {json.loads(file.read_text())['note']}" for file in sidecars]
    return "\n".join([table, "", *(notes or [NOT_JUDGED])]) + "\n"
