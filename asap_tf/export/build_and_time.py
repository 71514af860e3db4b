#!/usr/bin/env python3
"""Builds the TensorRT engines of an exported bundle, checks them against Keras, and times them.

    python3 build_and_time.py

runs in the bundle's folder on a machine with an NVIDIA GPU. It needs numpy, tensorrt (8.6, 10 or
11) and the driver; neither CUDA's toolkit nor asap_tf, which uses its `build` as well.
"""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

if __package__:
    from asap_tf.runtime.engine import Cuda, Engine, Failure
else:
    # In a bundle, where that file lies beside this one.
    from engine import Cuda, Engine, Failure  # type: ignore[no-redef]

WORKSPACE = 4 << 30
"""Bytes of the GPU's memory that a layer may use for itself while it runs."""

PER_CHANNEL = 1024
"""Tensors of up to so many numbers are statistics: one to a channel, not to a pixel."""

SECONDS, MIN_RUNS, BURST = 5.0, 100, 20


def strongly_typed(trt: Any) -> bool:
    """Whether precision is in the ONNX graph alone; up to TensorRT 10 builder flags set it."""
    return int(trt.__version__.split(".")[0]) >= 11


def source(trt: Any, precision: str) -> str:
    """The precision of the ONNX graph from which an engine of `precision` is built."""
    return "fp32" if precision == "fp16" and not strongly_typed(trt) else precision


def build(trt: Any, onnx: bytes, precision: str, cache: Path | None = None) -> bytes:
    """Builds an engine, which takes a minute or several.

    Args:
        trt: The module `tensorrt`, 8.6 or later.
        onnx: The graph of the precision that `source` says.
        precision: `"fp32"` (without TF32), `"fp16"` or `"int8"` (the graph has Q/DQ nodes).
        cache: File with what is known of the kernels' speed, so that the next build is quick.

    Raises:
        Failure: if TensorRT cannot build it.
    """
    logger = trt.Logger(trt.Logger.ERROR)
    try:
        builder = trt.Builder(logger)
    except TypeError as error:
        raise Failure("TensorRT cannot start; does nvidia-smi see a GPU?") from error
    flags = trt.NetworkDefinitionCreationFlag
    old = trt.__version__.startswith("8.")
    network = builder.create_network(1 << int(flags.EXPLICIT_BATCH) if old else 0)
    parser = trt.OnnxParser(network, logger)
    if not parser.parse(onnx):
        errors = "; ".join(str(parser.get_error(i)) for i in range(parser.num_errors))
        raise Failure(f"TensorRT {trt.__version__} cannot read the ONNX graph: {errors}")
    config = builder.create_builder_config()
    config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, WORKSPACE)
    if precision == "fp32":
        config.clear_flag(trt.BuilderFlag.TF32)
    elif not strongly_typed(trt):
        config.set_flag(trt.BuilderFlag.FP16)
        if precision == "int8":
            config.set_flag(trt.BuilderFlag.INT8)
        config.set_flag(trt.BuilderFlag.OBEY_PRECISION_CONSTRAINTS)
        _keep_float32(trt, network)
    known = cache.read_bytes() if cache and cache.exists() else b""
    if not config.set_timing_cache(config.create_timing_cache(known), False):
        config.set_timing_cache(config.create_timing_cache(b""), False)
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise Failure(f"TensorRT {trt.__version__} cannot build the engine; it says why above")
    if cache:
        cache.write_bytes(bytes(config.get_timing_cache().serialize()))
    return bytes(plan)


def _keep_float32(trt: Any, network: Any) -> None:
    """Holds what is float32 under every precision to it: statistics of norms, and softmax."""
    kinds, float32 = trt.LayerType, trt.DataType.FLOAT
    layers = [network.get_layer(i) for i in range(network.num_layers)]
    reduced = {layer.get_input(0).name for layer in layers if layer.type == kinds.REDUCE}
    for layer in layers:
        output = layer.get_output(0)
        if layer.type in (kinds.ELEMENTWISE, kinds.UNARY):
            keep = output.name in reduced or math.prod(output.shape) <= PER_CHANNEL
        else:
            keep = layer.type in (kinds.REDUCE, kinds.SOFTMAX)
        if keep and output.dtype == float32:
            layer.precision = float32
            layer.set_output_type(0, float32)


def agreement(engine: Engine, frames: np.ndarray, labels: np.ndarray) -> float:
    """Share of the pixels at which the engine gives the stored labels."""
    batch, equal = len(engine.frames), 0
    for start in range(0, len(frames), batch):
        part = frames[start : start + batch]
        output = engine.run(np.concatenate([part, part[-1:].repeat(batch - len(part), 0)]))
        given = output.argmax(-1) if output.ndim == 4 else output
        equal += int((given[: len(part)] == labels[start : start + batch]).sum())
    return equal / labels.size


def interleaved(calls: dict[str, Callable[[], None]]) -> dict[str, np.ndarray]:
    """Times calls in turn, in short bursts, so that a drifting machine hits all alike.

    Returns:
        Milliseconds of every run of each call, once it takes a steady time.
    """

    def burst(call: Callable[[], None]) -> list[float]:
        marks = [time.perf_counter()]
        for _ in range(BURST):
            call()
            marks.append(time.perf_counter())
        return [1000 * step for step in np.diff(marks)]

    for call in calls.values():
        end, before, now = time.perf_counter() + SECONDS, math.inf, 0.0
        while abs(now - before) > 0.02 * now and time.perf_counter() < end:
            before, now = now, float(np.median(burst(call)))
    times: dict[str, list[float]] = {name: [] for name in calls}
    end = time.perf_counter() + SECONDS * len(calls)
    while time.perf_counter() < end or any(len(runs) < MIN_RUNS for runs in times.values()):
        for name, runs in times.items():
            runs += burst(calls[name])
    return {name: np.array(runs) for name, runs in times.items()}


def table(results: dict[str, Any]) -> str:
    """The results as Markdown, the paper's figures for ASAP beside them."""
    height, width = results["size"]
    lines = [
        f"{height} x {width}, batch {results['batch']}, {results['gpu']}, TensorRT "
        f"{results['tensorrt']}\n",
        "| engine | labels equal to Keras | MB | p50 ms | p90 ms | frames/s | with copies: p50 ms "
        "| p90 ms | frames/s |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name, row in results["engines"].items():
        cells = [row.get("error", "")] + [""] * 7
        if "error" not in row:
            low = f" (floor: {row['floor']:.1%})" if row["agreement"] < row["floor"] else ""
            times = [f"{n:.2f}" for way in ("network", "with_copies") for n in row[way].values()]
            cells = [f"{row['agreement']:.2%}{low}", f"{row['megabytes']:.1f}", *times]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    lines += [
        "| ASAP in the paper | | | | | | | | 96 |",
        "| ASAP (TRT) in the paper | | | | | | | | 191 |",
        "\nThe paper's: 512 x 1024, GTX 1080 Ti, precision not stated, resizing included.",
    ]
    return "\n".join(lines)


def main(folder: Path, cuda: Cuda | None = None) -> int:
    """Does it all for the bundle in `folder`; 0 if every engine agrees with Keras, else 1."""
    missing = []
    try:
        import tensorrt as trt
    except ImportError as error:
        missing.append(f"tensorrt ({error}); get it by: pip install tensorrt-cu12")
    try:
        cuda = cuda or Cuda()
    except Failure as failure:
        missing.append(f"a GPU ({failure}); run this on a machine with one")
    if missing or cuda is None:
        print("\n".join(f"missing: {item}" for item in missing), file=sys.stderr)
        return 1
    results = json.loads((folder / "bundle.json").read_text())
    stored = np.load(folder / "frames.npz")
    results |= {"gpu": cuda.name, "tensorrt": trt.__version__, "engines": {}}
    calls: dict[str, Callable[[], None]] = {}
    for precision, floor in results["floors"].items():
        results["engines"][precision] = row = {"floor": floor}
        print(f"TensorRT {trt.__version__} builds the {precision} engine ...", flush=True)
        try:
            begin = time.perf_counter()
            onnx = (folder / results["onnx"][source(trt, precision)]).read_bytes()
            plan = build(trt, onnx, precision, folder / "timing.cache")
            row |= {"build_seconds": time.perf_counter() - begin, "megabytes": len(plan) / 1e6}
            (folder / f"asap_{precision}.engine").write_bytes(plan)
            engine = Engine(trt, cuda, plan).prepare()
            row["agreement"] = agreement(engine, stored["frames"], stored["labels"])
        except Failure as failure:
            row["error"] = str(failure)
        else:
            calls[f"{precision}/network"] = engine.compute
            calls[f"{precision}/with_copies"] = engine.copy_and_compute
    print("timing ...", flush=True)
    for name, runs in interleaved(calls).items():
        precision, way = name.split("/")
        p50, p90 = np.percentile(runs, (50, 90)).tolist()
        rate = {"p50_ms": p50, "p90_ms": p90, "frames_per_second": 1000 * results["batch"] / p50}
        results["engines"][precision][way] = rate
    (folder / "results.json").write_text(json.dumps(results, indent=1) + "\n")
    print(table(results))
    return int(any(row.get("agreement", 0) < row["floor"] for row in results["engines"].values()))


if __name__ == "__main__":
    sys.exit(main(Path(__file__).resolve().parent))
