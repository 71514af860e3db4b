"""A folder that builds and times the TensorRT engines on a machine with a GPU, by one command."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from asap_tf.core.errors import AsapError
from asap_tf.core.formats import FLOORS
from asap_tf.export import build_and_time
from asap_tf.export.tensorrt_report import onnx_refusals
from asap_tf.runtime import engine

README = """# TensorRT engines of an ASAP network

On a machine with an NVIDIA GPU, in this folder:

    pip install numpy tensorrt-cu12      # TensorRT 8.6, 10 or 11, whatever is there will do
    python3 build_and_time.py

builds the engines ({precisions}; minutes each), compares their labels with those of the Keras
model on {frames} frames, times them, prints a table and writes `results.json` and `asap_*.engine`.
It ends with 1 if an engine cannot be built or agrees less than {floors}.

Network alone: from frame to labels, both on the GPU, waiting for it each time. With copies: from
and to page-locked memory of the processor. Engines take turns, after warming up.

| file | |
|---|---|
| `build_and_time.py`, `engine.py` | the program; asap-tf is not needed |
| `asap_*.onnx` | the network, uint8 RGB frames {shape} to {output} |
| `frames.npz` | `frames` and the Keras model's `labels` |
| `bundle.json` | size, floors, classes, versions |
"""


def write_bundle(
    folder: Path,
    onnx_files: dict[str, Path],
    frames: np.ndarray,
    labels: np.ndarray,
    metadata: dict[str, Any],
) -> None:
    """Writes everything that building, checking and timing engines elsewhere takes.

    Args:
        folder: Made if it is not there.
        onnx_files: By precision, graphs that `asap_tf.export.writers.onnx` wrote `for_tensorrt`:
            `"fp32"` and `"fp16"`, and `"int8"` if there were frames to calibrate it. The engines
            are built in these precisions.
        frames: uint8 RGB `(N, H, W, 3)` at the network's size.
        labels: The Keras model's for them, uint8 `(N, H, W)`.
        metadata: Of the export; `size`, `batch` and `output` are used.

    Raises:
        AsapError: if TensorRT's ONNX parser does not take a graph, or onnx is not installed.

    Example:
        >>> write_bundle(Path("bundle"), {"fp32": fp32, "fp16": fp16}, frames, labels, metadata)
    """
    folder.mkdir(parents=True, exist_ok=True)
    names = {}
    for precision, file in onnx_files.items():
        names[precision] = f"asap_{precision}.onnx"
        shutil.copy(file, folder / names[precision])
        if refusals := onnx_refusals(file):
            listed = ", ".join(f"{kind} ({why})" for kind, why in sorted(refusals))
            raise AsapError(f"{file.name}: TensorRT does not take {listed}")
    np.savez_compressed(folder / "frames.npz", frames=frames, labels=labels)
    for module in (build_and_time, engine):
        shutil.copy(str(module.__file__), folder)
    floors = {precision: FLOORS[precision] for precision in onnx_files}
    entries = {**metadata, "floors": floors, "onnx": names}
    (folder / "bundle.json").write_text(json.dumps(entries, indent=1), encoding="utf-8")
    readme = README.format(
        precisions=", ".join(floors),
        frames=len(frames),
        floors=", ".join(f"{floor:.1%} ({precision})" for precision, floor in floors.items()),
        shape=(metadata["batch"], *metadata["size"], 3),
        output=metadata["output"],
    )
    (folder / "README.md").write_text(readme, encoding="utf-8")
