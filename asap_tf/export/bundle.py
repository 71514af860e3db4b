"""A folder that builds and times the TensorRT engines on a machine with a GPU, by one command."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from asap_tf.core.formats import FLOORS
from asap_tf.core.optional import require
from asap_tf.export import build_and_time, build_engine
from asap_tf.runtime import engine
from asap_tf.saving.metadata import sidecar

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


def write_bundle(
    folder: Path,
    onnx_files: dict[str, Path],
    engines: dict[str, Path],
    frames: np.ndarray,
    labels: np.ndarray,
    metadata: dict[str, Any],
) -> None:
    """Writes everything that opening or building, checking and timing engines elsewhere takes.

    Args:
        folder: Made if it is not there.
        onnx_files: Graphs that `asap_tf.export.writers.tensorrt_onnx` wrote, by precision.
        engines: Engines that TensorRT for RTX built of them, by precision, their metadata beside
            them; may be empty.
        frames: RGB at the network's size, uint8 `(N, H, W, 3)`.
        labels: Labels of the frames by the Keras model, uint8 `(N, H, W)`.
        metadata: Metadata of the export; `size`, `batch` and `output` are used.

    Example:
        >>> write_bundle(folder, {"fp16": graph}, {"fp16": engine}, frames, labels, metadata)
    """
    folder.mkdir(parents=True, exist_ok=True)
    names = {precision: f"asap_{precision}.onnx" for precision in onnx_files}
    for precision, file in onnx_files.items():
        shutil.copy(file, folder / names[precision])
    for file in engines.values():
        shutil.copy(file, folder)
        shutil.copy(sidecar(file), folder)
    np.savez_compressed(folder / "frames.npz", frames=frames, labels=labels)
    for module in (build_and_time, build_engine, engine):
        shutil.copy(str(module.__file__), folder)
    floors = {precision: FLOORS[precision] for precision in onnx_files}
    entries = {**metadata, "floors": floors, "onnx": names}
    (folder / "bundle.json").write_text(json.dumps(entries, indent=1), encoding="utf-8")
    operators = _operators(onnx_files, [sidecar(file) for file in engines.values()])
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
