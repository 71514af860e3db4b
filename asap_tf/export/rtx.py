"""Engines of TensorRT for RTX, built ahead of time on any machine, and what can be read in them."""

from __future__ import annotations

import json
import re
import struct
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from asap_tf.core.children import run_module
from asap_tf.core.errors import AsapError, UsageError
from asap_tf.core.optional import require
from asap_tf.runtime.engine import CAPABILITIES, stamp_of

NOT_COMPARED = "labels not yet compared on a GPU"
"""Said of an engine until `asap-tf eval` or a bundle's script has run it."""

LIMIT = 600.0
"""Seconds that a build may take; it takes one or two."""


@dataclass(frozen=True)
class Report:
    """What NVIDIA's parser and builder said of an engine.

    Attributes:
        capabilities: Compute capabilities of the GPUs that it was built for.
        layers: Layers that the parser made of the ONNX graph.
        blocks: Pieces that the builder compiled them to; 1 is the whole network in one.
        activation_bytes: Memory on the GPU for what is between the layers.
        weight_bytes: Memory on the GPU for the weights.
        refused: Reason why it was not built for other GPUs, by their compute capability.
    """

    capabilities: tuple[str, ...]
    layers: int
    blocks: int
    activation_bytes: int
    weight_bytes: int
    refused: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        text = (
            f"built by NVIDIA's builder for compute capability {', '.join(self.capabilities)}: "
            f"{self.layers} layers in {self.blocks} block{'s' * (self.blocks != 1)}, "
            f"{self.activation_bytes / 1e6:.1f} MB of activations, "
            f"{self.weight_bytes / 1e6:.1f} MB of weights"
        )
        return text + "".join(f"; not for {name}: {why}" for name, why in self.refused.items())


def checked_capabilities(names: Sequence[str]) -> list[str]:
    """Compute capabilities in the order of `CAPABILITIES`, each once.

    Raises:
        UsageError: for one that TensorRT for RTX does not build for.

    Examples:
        >>> checked_capabilities(["8.9", "8.6"])
        ['8.6', '8.9']
    """
    for name in names:
        if name not in CAPABILITIES:
            raise UsageError(
                f"`compute_capability` {name}: TensorRT for RTX builds for "
                f"{', '.join(CAPABILITIES)}"
            )
    return [name for name in CAPABILITIES if name in names]


def build_ahead(
    graph: Path, precision: str, path: Path, capabilities: Sequence[str] = ()
) -> Report:
    """Builds an engine from an ONNX graph; no GPU is needed.

    Args:
        graph: What `asap_tf.export.writers.tensorrt_onnx` wrote.
        precision: `"fp32"`, `"fp16"` or `"int8"`, as of the graph.
        path: The engine's file.
        capabilities: Compute capabilities of the GPUs that are to run it; none takes all for which
            it can be built.

    Raises:
        UsageError: for a capability that does not exist.
        AsapError: if the package is missing, or NVIDIA's parser or builder refuses.

    Examples:
        >>> build_ahead(Path("asap_fp16.onnx"), "fp16", Path("asap_fp16_rtx.engine"), ["8.9"])
    """
    require("tensorrt_rtx", "trt")
    wanted = checked_capabilities(capabilities or CAPABILITIES)
    said, refused = _build(graph, precision, path, wanted), {}
    if "error" in said and not capabilities:
        alone = {name: _build(graph, precision, path, [name]) for name in wanted}
        refused = {name: each["error"] for name, each in alone.items() if "error" in each}
        if wanted := [name for name in wanted if name not in refused]:
            said = _build(graph, precision, path, wanted)
    if "error" in said:
        raise AsapError(said["error"])
    stamp = stamp_of(path.read_bytes())
    return Report(stamp.capabilities if stamp else (), **said, refused=refused)


def _build(graph: Path, precision: str, path: Path, capabilities: Sequence[str]) -> dict[str, Any]:
    # In a process of its own not for its crashes alone: after a refusal TensorRT for RTX 1.7.1
    # builds other engines than before, until the process ends.
    arguments = str(graph), precision, ",".join(capabilities), str(path)
    try:
        child = run_module("asap_tf.export.build_engine", *arguments, timeout=LIMIT)
        return json.loads(child.stdout.splitlines()[-1])
    except subprocess.TimeoutExpired as error:
        raise AsapError(f"NVIDIA's builder did not end within {LIMIT:.0f} s") from error
    except (IndexError, ValueError) as error:
        raise AsapError(f"NVIDIA's builder crashed ({child.returncode})") from error


_TENSOR = re.compile(
    rb"\x01\x80\x0c\x80\x01\0.{8}(?P<name>[\w.:/]+)\x1c\x80\x01\0\x03\x80\x01\0.\x0d\x80\x01\0"
    rb"\x07\x80\x01\0(?P<type>.{4}).{,160}?"
    rb"\x59\x80\x01\0\x07\x80\x01\0.{4}\x01\x80\x09\x80\x01\0(?P<rank>.{8})",
    re.DOTALL,
)
"""An input or output in a plan of version 1.7, up to its lengths; NVIDIA does not document it."""

_TYPES = ("float32", "float16", "int8", "int32", "bool", "uint8")


def tensors_of(plan: bytes) -> dict[str, tuple[str, tuple[int, ...]]]:
    """Reads inputs and outputs back from an engine of TensorRT for RTX, without a GPU.

    Args:
        plan: The engine's bytes.

    Returns:
        Type, in numpy's word, and shape by name: `{"frames": ("uint8", (1, 512, 1024, 3)), ...}`;
        empty if they are not found.
    """
    found = {}
    for match in _TENSOR.finditer(plan):
        (kind,) = struct.unpack("<i", match["type"])
        (rank,) = struct.unpack("<Q", match["rank"])
        shape = struct.unpack_from(f"<{rank}q", plan, match.end())
        found[match["name"].decode()] = (_TYPES[kind], shape)
    return found
