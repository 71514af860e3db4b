#!/usr/bin/env python3
"""Opens or builds the TensorRT engines of a bundle, compares them with Keras, and times them.

    python3 build_and_time.py

runs in the bundle's folder on a machine with an NVIDIA GPU. It needs numpy, the driver, and the
package tensorrt_rtx, for which engines are in the bundle, or tensorrt (10 or 11), which builds its
own; neither CUDA's toolkit nor asap_tf.
"""

from __future__ import annotations

import importlib
import json
import math
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

if __package__:
    from asap_tf.export.build_engine import build
    from asap_tf.runtime import engine as engines
else:
    # In a bundle, where those files lie beside this one.
    import engine as engines  # type: ignore[no-redef]
    from build_engine import build  # type: ignore[no-redef]

SECONDS, MIN_RUNS, BURST = 5.0, 100, 20


def agreement(engine: engines.Engine, frames: np.ndarray, labels: np.ndarray) -> float:
    """Share of the pixels at which the engine gives the stored labels."""
    batch, equal = len(engine.frames), 0
    for start in range(0, len(frames), batch):
        part = frames[start : start + batch]
        output = engine.run(np.concatenate([part, part[-1:].repeat(batch - len(part), 0)]))
        given = output[:, 0] if output.shape[1] == 2 else output
        given = given.argmax(-1) if given.dtype == np.float32 else given
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
        f"{height} x {width}, batch {results['batch']}, {results['gpu']}\n",
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
            name = f"{name}, {row['runtime']}"
        lines.append(f"| {name} | {' | '.join(cells)} |")
    lines += [
        "| ASAP in the paper | | | | | | | | 96 |",
        "| ASAP (TRT) in the paper | | | | | | | | 191 |",
        "\nThe paper's: 512 x 1024, GTX 1080 Ti, precision not stated, resizing included.",
    ]
    return "\n".join(lines)


def engine_file(
    folder: Path, precision: str, graph: str, modules: dict[str, Any], cuda: engines.Cuda
) -> Path:
    """The engine that is in the bundle, if it runs here; else one that is built now.

    Raises:
        engines.Failure: if it cannot be built.
    """
    shipped = folder / f"asap_{precision}_rtx.engine"
    if shipped.exists():
        try:
            engines.requirements(shipped.read_bytes(), cuda)
            return shipped
        except engines.Failure as failure:
            print(f"not {shipped.name}: {failure}")
    ahead = () if "tensorrt" in modules else (cuda.capability,)
    if ahead and cuda.capability not in engines.CAPABILITIES:
        package = engines.PACKAGES["tensorrt"]
        raise engines.Failure(f"TensorRT for RTX is not for {cuda.name}: pip install {package}")
    print(f"building the {precision} engine, which takes TensorRT minutes ...", flush=True)
    trt = modules["tensorrt_rtx" if ahead else "tensorrt"]
    onnx, built = (folder / graph).read_bytes(), folder / f"asap_{precision}.engine"
    built.write_bytes(build(trt, onnx, precision, ahead, folder / "timing.cache").plan)
    return built


def main(folder: Path, cuda: engines.Cuda | None = None) -> int:
    """Does it all for the bundle in `folder`; 0 if every engine agrees with Keras, else 1."""
    modules, reasons, missing = {}, [], []
    for name, package in engines.PACKAGES.items():
        try:
            modules[name] = importlib.import_module(name)
        except ImportError as error:
            reasons.append(f"{name} ({error}; pip install {package})")
    if not modules:
        missing.append(" or ".join(reasons))
    try:
        cuda = cuda or engines.Cuda()
    except engines.Failure as failure:
        missing.append(f"a GPU ({failure}); run this on a machine with one")
    if missing or cuda is None:
        print("\n".join(f"missing: {item}" for item in missing), file=sys.stderr)
        return 1
    results = json.loads((folder / "bundle.json").read_text())
    stored = np.load(folder / "frames.npz")
    results |= {"gpu": cuda.name, "engines": {}}
    calls: dict[str, Callable[[], None]] = {}
    for precision, floor in results["floors"].items():
        results["engines"][precision] = row = {"floor": floor}
        try:
            begin = time.perf_counter()
            path = engine_file(folder, precision, results["onnx"][precision], modules, cuda)
            plan = path.read_bytes()
            engine = engines.Engine(plan, cuda, path.with_name(f"{path.name}.cache")).prepare()
            row |= {"seconds": time.perf_counter() - begin, "megabytes": len(plan) / 1e6}
            row["runtime"] = engine.runtime
            row["agreement"] = agreement(engine, stored["frames"], stored["labels"])
        except engines.Failure as failure:
            row["error"] = str(failure)
        else:
            metadata = path.with_name(f"{path.name}.json")
            if metadata.exists():
                said = f"{row['agreement']:.2%} of labels as in Keras, by {engine.runtime}"
                entries = json.loads(metadata.read_text()) | {"on_gpu": said}
                metadata.write_text(json.dumps(entries, indent=1))
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
