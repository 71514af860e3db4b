"""Builds TensorRT engines of ONNX graphs, by TensorRT or TensorRT for RTX: bundles take it along.

    python -m asap_tf.export.build_engine graph.onnx fp16 8.6,8.9 asap.engine

builds one of TensorRT for RTX and prints what the builder said, as JSON. `asap_tf.export.rtx` runs
this as a child.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

if __package__:
    from asap_tf.runtime.engine import Failure, listener, product
else:
    # In a bundle, where that file lies beside this one.
    from engine import Failure, listener, product  # type: ignore[no-redef]

WORKSPACE = 4 << 30
"""Bytes of the GPU's memory that a layer may use for itself while it runs."""


class Build(NamedTuple):
    """An engine, and what TensorRT said of it while it built it.

    Attributes:
        plan: The engine's bytes.
        layers: Layers that the parser made of the ONNX graph.
        blocks: Pieces that the builder compiled them to; 1 is the whole network in one.
        activation_bytes: Memory on the GPU for what is between the layers.
        weight_bytes: Memory on the GPU for the weights.
    """

    plan: bytes
    layers: int
    blocks: int
    activation_bytes: int
    weight_bytes: int


SAID = {
    "blocks": r"to assign \d+ blocks to (\d+) nodes",
    "activation_bytes": r"Total Activation Memory: (\d+) bytes",
    "weight_bytes": r"Total Weights Memory: (\d+) bytes",
}


def build(
    trt: Any,
    onnx: bytes,
    precision: str,
    capabilities: Sequence[str] = (),
    cache: Path | None = None,
) -> Build:
    """Builds an engine: in a second by TensorRT for RTX, in minutes by TensorRT.

    Args:
        trt: The module `tensorrt`, 10 or later, or `tensorrt_rtx`.
        onnx: The graph. Precision is in its types: networks are strongly typed.
        precision: `"fp32"` forbids TF32, any other allows it.
        capabilities: Of the GPUs that are to run it, such as `("8.6", "8.9")`, for TensorRT for
            RTX; TensorRT builds for the GPU that is here.
        cache: File with the timings of kernels, so that TensorRT's next build is quick.

    Raises:
        Failure: if the graph cannot be read or the engine cannot be built.
    """
    log = listener(trt)
    try:
        builder = trt.Builder(log)
    except TypeError as error:
        raise Failure("TensorRT cannot start; does nvidia-smi see a GPU?") from error
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(network, log)
    if not parser.parse(onnx):
        first = parser.get_error(0)
        reason = first.desc().strip().removeprefix(f"Invalid Node - {first.node_name()}")
        raise Failure(
            f"{product(trt)} cannot read the ONNX graph: {first.node_operator()} "
            f"{first.node_name()}: {reason.strip().splitlines()[0]}"
        )
    config = builder.create_builder_config()
    config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, WORKSPACE)
    if precision == "fp32":
        config.clear_flag(trt.BuilderFlag.TF32)
    if capabilities:
        config.num_compute_capabilities = len(capabilities)
        for i, capability in enumerate(capabilities):
            kind = getattr(trt.ComputeCapability, f"SM{capability.replace('.', '')}")
            config.set_compute_capability(kind, i)
    elif cache:
        known = cache.read_bytes() if cache.exists() else b""
        if not config.set_timing_cache(config.create_timing_cache(known), False):
            config.set_timing_cache(config.create_timing_cache(b""), False)
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise Failure(f"{product(trt)} cannot build the engine: {log.error()}")
    if cache and not capabilities:
        cache.write_bytes(bytes(config.get_timing_cache().serialize()))
    said = "\n".join(text for _, text in log.lines)
    numbers = {name: re.findall(pattern, said)[-1:] for name, pattern in SAID.items()}
    return Build(
        bytes(plan),
        network.num_layers,
        **{name: int(found[0]) if found else 0 for name, found in numbers.items()},
    )


def main(graph: str, precision: str, capabilities: str, path: str) -> int:
    """Builds an engine of TensorRT for RTX and prints its `Build`, or else the `error`."""
    import tensorrt_rtx

    try:
        content = Path(graph).read_bytes()
        built = build(tensorrt_rtx, content, precision, capabilities.split(","))
    except Failure as failure:
        print(json.dumps({"error": str(failure)}))
        return 1
    Path(path).write_bytes(built.plan)
    said = built._asdict()
    del said["plan"]
    print(json.dumps(said))
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
