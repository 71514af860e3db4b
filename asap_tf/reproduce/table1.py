"""Table I: ASAP and its rivals, exported alike and timed in the same rounds."""

from __future__ import annotations

import contextlib
import gc
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import keras

from asap_tf.benchmark.artifact import ArtifactSpec, size_text, write_source
from asap_tf.benchmark.machine import Machine, this_machine
from asap_tf.benchmark.markdown import machine_lines, table, warning_lines
from asap_tf.benchmark.rounds import measure, warm_up
from asap_tf.benchmark.statistics import Speedup, speedup, summarize
from asap_tf.benchmark.worker import Worker
from asap_tf.core.errors import UsageError
from asap_tf.core.formats import FORMATS
from asap_tf.core.progress import ProgressBar
from asap_tf.data.dataset import Dataset
from asap_tf.export.graph import Deployment
from asap_tf.inference.evaluate import evaluate
from asap_tf.models import create_model
from asap_tf.models.operations import count_operations
from asap_tf.reproduce.paper import TABLE_1, NetworkRow
from asap_tf.runtime import load
from asap_tf.streets import render

RUNTIMES = {
    "LiteRT fp32": (FORMATS["litert"], "fp32"),
    "LiteRT int8": (FORMATS["litert"], "int8"),
    "ONNX Runtime fp32": (FORMATS["onnx"], "fp32"),
}
TENSORRT = {"TensorRT fp16": (FORMATS["tensorrt"], "fp16")}
"""Added where there is a GPU."""

CALIBRATION = 8
"""Number of frames to calibrate int8 on; they do not matter to its speed."""

BUILT = tuple(network for network in TABLE_1 if network.name)
ASAP = next(network for network in BUILT if network.name == "asap")


@dataclass(frozen=True)
class Timed:
    """One network on one runtime.

    Attributes:
        name: Name of the network in the registry.
        runtime: Key of `RUNTIMES` or `TENSORRT`.
        multiply_accumulates: Multiply-accumulate operations for one frame.
        parameters: Number of parameters, without auxiliary heads.
        seconds: Seconds of every round.
    """

    name: str
    runtime: str
    multiply_accumulates: int
    parameters: int
    seconds: list[float]


def time_networks(size: tuple[int, int], threads: int | None, seconds: float) -> list[Timed]:
    """Exports every network with random weights, 19 classes, and times all in the same rounds.

    Args:
        size: `(H, W)` of the frame, multiples of 32.
        threads: Processor threads; None for all cores.
        seconds: Least duration of the measurement; 100 rounds are taken in any case.

    Raises:
        AsapError: if a package is missing or a network cannot be exported or run.
    """
    runtimes = RUNTIMES | (TENSORRT if this_machine().gpus else {})
    writers = {runtime: row.load_writer() for runtime, (row, _) in runtimes.items()}
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        write_source(folder, size)
        frames = [render(seed, *size).image for seed in range(CALIBRATION)]
        workers = []
        networks = []
        for network in ProgressBar(BUILT, "exporting", unit="network"):
            name = str(network.name)
            keras.utils.set_random_seed(0)
            model = create_model(name, 19, (*size, 3))
            products = count_operations(model).to_dict()["multiply_accumulates"]
            deployment = Deployment(model, size)
            for runtime, (row, precision) in runtimes.items():
                path = folder / f"{name}_{row.file_name(precision)}"
                writers[runtime].write(deployment, precision, path, frames, {})
                # All graphs of all networks would be too much; see `export.exporter`.
                gc.collect()
                worker = Worker(ArtifactSpec(path, folder, size, threads, rows=("network",)))
                workers.append(stack.enter_context(worker))
                networks.append((name, runtime, products, model.count_params()))
        for worker in ProgressBar(workers, "warming up", unit="network"):
            warm_up(worker)
        bar = stack.enter_context(ProgressBar(desc="measuring", unit="round"))

        def show(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        rounds = measure(workers, seconds, show)
    return [
        Timed(*network, [turns[index]["network"] for turns in rounds])
        for index, network in enumerate(networks)
    ]


def score_runs(runs: Sequence[Path], dataset: Dataset) -> dict[str, float]:
    """Validation mIoU of trained networks, 0..1, by name of the network.

    Raises:
        UsageError: if a model does not say which network it is, or has other classes.
    """
    scores = {}
    for run in runs:
        segmenter = load(run)
        recipe = segmenter.metadata.get("recipe")
        if recipe is None:
            raise UsageError(f"{run}: does not say which network it is; give a run folder")
        scores[recipe["model"]["name"]] = evaluate(segmenter, dataset).scores.miou
    return scores


def text(
    timings: Sequence[Timed],
    machine: Machine,
    size: tuple[int, int],
    threads: int | None,
    scores: dict[str, float],
) -> str:
    """The table as Markdown, with the ratio of each network's time to ASAP's."""
    runtimes = list(dict.fromkeys(t.runtime for t in timings))
    found = {(t.name, t.runtime): t for t in timings}
    header = ["network", "mIoU, paper", "FPS, paper", "input, paper", "ASAP is faster by"]
    header += [f"here, {runtime}" for runtime in runtimes]
    header += ["verdict", "mIoU here", "M parameters", "G multiply-adds"]
    rows = []
    for network in TABLE_1:
        row = [network.title, dash(network.miou), dash(network.fps), network.size]
        row.append(dash(printed_ratio(network), 2))
        if network.name is None:
            reason = "not testable: no public definition"
            rows.append([*row, *["-"] * len(runtimes), reason, *"---"])
            continue
        own = [found[network.name, runtime] for runtime in runtimes]
        ratios = [ratio(t, found["asap", t.runtime]) for t in own]
        row += [f"{rate(t):.1f} FPS, {ratio_text(r)}" for t, r in zip(own, ratios, strict=True)]
        row.append(verdict(network, ratios))
        row.append(f"{scores[network.name]:.1%}" if network.name in scores else "-")
        row += [f"{own[0].parameters / 1e6:.2f}", f"{own[0].multiply_accumulates / 1e9:.2f}"]
        rows.append(row)
    return "\n".join(
        [
            f"# Table I: {size_text(size)}, batch 1, uint8 frame to label map",
            "",
            *machine_lines(machine),
            f"- {threads or machine.cores} threads, medians of {len(timings[0].seconds)} "
            "interleaved rounds, 95 % intervals; 19 classes, random weights",
            *warning_lines(machine),
            "",
            *table(header, rows, "l" + "r" * (len(header) - 5) + "lrrr"),
            "",
            "Frames a second are the paper's on a GTX 1080 Ti, at the input it prints; here all "
            f"networks run at {size_text(size)}.",
            "",
            "Beside what the paper prints:",
            "",
            *(f"- {network.title}: {network.note}." for network in TABLE_1 if network.note),
        ]
    )


def printed_ratio(network: NetworkRow) -> float | None:
    """ASAP's frames a second divided by a network's, in the paper."""
    return None if network.fps is None or ASAP.fps is None else ASAP.fps / network.fps


def ratio(timed: Timed, asap: Timed) -> Speedup:
    """A network's time divided by ASAP's, here."""
    return speedup(timed.seconds, asap.seconds)


def verdict(network: NetworkRow, ratios: Sequence[Speedup]) -> str:
    """Whether ASAP is faster than a network here as in the paper."""
    printed = printed_ratio(network)
    if network is ASAP:
        return ""
    if printed is None:
        return "not in the paper"
    if network.size != ASAP.size:
        return f"not testable here: printed at {network.size}"
    holds = sum(1 for r in ratios if r.interval and r.interval[0] > 1)
    word = "reproduced" if holds == len(ratios) else "not reproduced"
    return f"{word}: ASAP faster on {holds} of {len(ratios)} runtimes"


def rate(timed: Timed) -> float:
    """Frames a second."""
    return summarize(timed.seconds).rate


def ratio_text(found: Speedup) -> str:
    """`"1.22 [1.20, 1.23]"`."""
    if found.interval is None:
        return f"{found.median:.2f}"
    return f"{found.median:.2f} [{found.interval[0]:.2f}, {found.interval[1]:.2f}]"


def dash(value: float | None, digits: int = 1) -> str:
    """A number, or `"-"` for None."""
    return "-" if value is None else f"{value:.{digits}f}"


def to_dict(timings: Sequence[Timed], machine: Machine, scores: dict[str, float]) -> dict[str, Any]:
    """The timings and scores as plain data for JSON."""
    return {
        "machine": asdict(machine),
        "timings": [asdict(timed) for timed in timings],
        "miou": scores,
    }
