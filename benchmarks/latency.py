"""What blocks of networks take in int8, and what that foretells of whole networks.

    python benchmarks/latency.py measure latency.json --artifacts FOLDER
    python benchmarks/latency.py foretell latency.json --artifacts FOLDER

Blocks of a kind and a resolution are side by side in one network. It is exported as every network
is, and its operators are timed one by one, as by `operators.py`. What comes before the first map
and after the logits is timed as a network of nothing else. A further run goes on with the artifacts
that it finds, and lowers the figures that it betters: what else a machine does only adds to them.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import click
from latency_table import LatencyTable, parts_of
from naive import OPENED
from operators import PROFILERS
from realtime import SIZE, Entry, network, written
from tqdm import tqdm

from asap_tf.benchmark.artifact import lead_in, timed
from asap_tf.benchmark.machine import this_machine
from asap_tf.benchmark.markdown import machine_lines, table, warning_lines
from asap_tf.core.files import write_json
from asap_tf.core.formats import FORMATS

RUNTIMES = {
    "LiteRT": FORMATS["litert"],
    "OpenVINO": FORMATS["openvino"],
    "ONNX Runtime": FORMATS["onnx"],
}

RESIZES = {"RESIZE_BILINEAR", "Interpolate", "Resize"}

LABEL_STRIDE = 2

NETWORKS = (
    Entry("ASAP", network("asap"), LABEL_STRIDE),
    Entry("ASAP at half width", network("asap", width=0.5), LABEL_STRIDE),
    Entry(
        "ASAP, ResNet18-vd at half width",
        network("asap", backbone="resnet18_vd", width=0.5),
        LABEL_STRIDE,
    ),
    Entry("ASAP, Lite0", network("asap", backbone="efficientnet_lite0"), LABEL_STRIDE),
    Entry("ASAP fast", network("asap_fast"), LABEL_STRIDE),
    Entry("STDC1-Seg50", network("stdc1"), LABEL_STRIDE),
    Entry("BiSeNetV2", network("bisenetv2"), LABEL_STRIDE),
    Entry("DDRNet-23-slim", network("ddrnet_23_slim"), LABEL_STRIDE),
    Entry("PIDNet-S", network("pidnet_s"), LABEL_STRIDE),
    Entry("FFNet-46NS", network("ffnet_46ns"), LABEL_STRIDE),
    Entry("FasterSeg", network("fasterseg"), LABEL_STRIDE),
)


def exported(entry: Entry, runtime: str, folder: Path) -> Path:
    """The int8 artifact of a network, made if it is not there yet."""
    from asap_tf.streets import render

    # The ranges of int8 do not matter to its speed.
    return written(entry, RUNTIMES[runtime], "int8", folder, [render(0, *SIZE).image])


def time_blocks(path: Path, threads: int, rounds: int) -> dict[tuple[str, int], float]:
    """Milliseconds of the blocks of a sheet, by kind and width."""
    from latency_blocks import FEW

    found: dict[tuple[str, int], float] = defaultdict(float)
    # LiteRT's takes long for operators that do not matter.
    part = {"part": "block_"} if path.suffix == ".tflite" else {}
    for operator in PROFILERS[path.suffix](path, threads, rounds, **part):
        if operator.kind in RESIZES:
            # tf2onnx gives them names of its own; the logits' is among them.
            for width in FEW:
                found["double", width] += operator.milliseconds * width / sum(FEW)
        elif match := re.search(r"block_(\w+?)_of(\d+)__", operator.name):
            found[match[1], int(match[2])] += operator.milliseconds
    return found


def time_whole(paths: Sequence[Path], threads: int, rounds: int) -> list[float]:
    """Milliseconds of artifacts: the least of all rounds, as of operators.

    They are open one at a time, since ONNX Runtime's threads are busy while they wait, and their
    turn comes three times, since a machine has slow minutes.
    """
    found = [float("inf")] * len(paths)
    for i, path in [*enumerate(paths)] * 3:
        run = OPENED[path.suffix](path, threads)
        lead_in(run)
        found[i] = min(found[i], *(1000 * timed(run) for _ in range(rounds)))
    return found


def measured(
    runtime: str, folder: Path, threads: int, rounds: int, figures: dict[str, Any]
) -> Iterator[None]:
    """Adds to the figures of a runtime, a network at a time."""
    from latency_blocks import ENDS, KINDS, SHEETS, nothing_else, sheet

    blocks, ends = figures.setdefault("blocks", {}), figures.setdefault("ends", {})
    sheets = [(names, stride) for names, strides in SHEETS for stride in strides]
    for names, stride in tqdm(sheets, runtime, unit="sheet", disable=None):
        stem = f"{names[0]}_{stride}"
        entry = Entry(stem, partial(sheet, names, stride), LABEL_STRIDE)
        path = exported(entry, runtime, folder)
        took = time_blocks(path, threads, rounds)
        for name in names:
            kind = KINDS[name]
            rates = {
                str(width): float(f"{1e6 * took[name, width] / kind.work(stride, width):.4g}")
                for width in kind.widths(stride)
            }
            known = blocks.setdefault(name, {}).setdefault(str(kind.positions(stride)), {})
            known.update(least(known, rates))
        yield
    keys = [" ".join(map(str, key)) for key in ENDS]
    paths = [
        exported(Entry(f"ends {name}", partial(nothing_else, *key), LABEL_STRIDE), runtime, folder)
        for name, key in zip(keys, ENDS, strict=True)
    ]
    whole = [round(ms, 3) for ms in time_whole(paths, threads, rounds)]
    ends.update(least(ends, dict(zip(keys, whole, strict=True))))
    yield


def least(known: dict[str, float], new: dict[str, float]) -> dict[str, float]:
    """The lesser of what is known and what was found now."""
    return {key: min(value, known.get(key, value)) for key, value in new.items()}


def foretold(entry: Entry, runtime: str, known: LatencyTable) -> float:
    """Milliseconds of a network, which is not exported for that."""
    from asap_tf.export.graph import Deployment

    deployment = Deployment(entry.build(), SIZE, label_stride=LABEL_STRIDE)
    rewrites = RUNTIMES[runtime].load_writer().REWRITES
    return sum(map(known.milliseconds, parts_of(deployment, rewrites)))


def options(command: Callable) -> Callable:
    """What both commands take."""
    for option in (
        click.argument("file", type=click.Path(path_type=Path)),
        click.option(
            "--artifacts", type=click.Path(path_type=Path, file_okay=False), required=True
        ),
        click.option("--runtime", "runtimes", multiple=True, type=click.Choice(list(RUNTIMES))),
        click.option("--threads", default=2, show_default=True),
        click.option("--rounds", default=15, show_default=True),
    ):
        command = option(command)
    return command


@click.group()
def main() -> None:
    """The table, and what it foretells."""
    from asap_tf.core.keras_backend import import_keras

    import_keras()


@main.command()
@options
def measure(
    file: Path, artifacts: Path, runtimes: tuple[str, ...], threads: int, rounds: int
) -> None:
    """Times all blocks and writes FILE."""
    artifacts.mkdir(parents=True, exist_ok=True)
    known = json.loads(file.read_text()) if file.exists() else {}
    figures = {"machine": this_machine().name, **known}
    for runtime in runtimes or RUNTIMES:
        own = figures.setdefault(runtime, {})
        for _ in measured(runtime, artifacts, threads, rounds, own):
            write_json(file, figures)


@main.command()
@options
def foretell(
    file: Path, artifacts: Path, runtimes: tuple[str, ...], threads: int, rounds: int
) -> None:
    """Prints what FILE foretells of whole networks, and what they take."""
    machine = this_machine()
    print(*machine_lines(machine), *warning_lines(machine), sep="\n")
    for runtime in runtimes or RUNTIMES:
        known = LatencyTable(json.loads(file.read_text())[runtime])
        paths = [exported(entry, runtime, artifacts) for entry in NETWORKS]
        rows = []
        for entry, took in zip(NETWORKS, time_whole(paths, threads, rounds), strict=True):
            said = foretold(entry, runtime, known)
            rows.append([entry.title, f"{said:.1f}", f"{took:.1f}", f"{said / took - 1:+.0%}"])
        print(f"\n## {runtime}, int8, {threads} threads\n")
        print(*table(("network", "foretold, ms", "measured, ms", "error"), rows, "lrrr"), sep="\n")


if __name__ == "__main__":
    main()
