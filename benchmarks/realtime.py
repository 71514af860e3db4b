"""Real time on a processor: ASAP and its rivals in int8 and float32, and what limits them.

    python benchmarks/realtime.py --artifacts FOLDER --json realtime.json > realtime.md

Every network gets random weights and 19 classes, takes a uint8 frame of 512 x 1024 and gives a
label map of that size; int8 is calibrated on rendered streets. What is to be held against each
other runs in turn, in the same rounds. "Naively" is what the converter makes of the network as it
is, without this project's rewrites; the bare ResNet18 is converted so as well, and the product is a
1 x 1 convolution from 1024 to 1024 channels, the most that a runtime gets out of the processor.
An interrupted run goes on with the artifacts that it finds in FOLDER.
"""

from __future__ import annotations

import contextlib
import gc
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np
from naive import BareSpec, noise, write_naively
from tqdm import tqdm

from asap_tf.benchmark.artifact import ArtifactSpec, write_source
from asap_tf.benchmark.machine import this_machine
from asap_tf.benchmark.markdown import machine_lines, table, warning_lines
from asap_tf.benchmark.rounds import measure, warm_up
from asap_tf.benchmark.statistics import speedup, summarize
from asap_tf.benchmark.worker import Worker
from asap_tf.core.files import write_json
from asap_tf.core.formats import FORMATS, Format
from asap_tf.reproduce.table1 import ratio_text

if TYPE_CHECKING:
    import keras

SIZE = (512, 1024)
CALIBRATION = 2
"""Frames to set the ranges of int8 by; they do not matter to its speed."""

RUNTIMES = {
    "LiteRT int8": (FORMATS["litert"], "int8"),
    "OpenVINO int8": (FORMATS["openvino"], "int8"),
    "ONNX Runtime fp32": (FORMATS["onnx"], "fp32"),
}

HEADER = (
    "network",
    "ms",
    "FPS",
    "time over the bare ResNet18's",
    "time over ASAP's, labels of stride 2",
)


@dataclass(frozen=True)
class Entry:
    """One row.

    Attributes:
        title: For people.
        build: Makes the network.
        label_stride: Of the labels; None for what gives no labels.
        naive: Whether to convert it without rewrites.
    """

    title: str
    build: Callable[[], keras.Model]
    label_stride: int | None = 1
    naive: bool = False

    @property
    def stem(self) -> str:
        """Of the file's name."""
        return "".join(c if c.isalnum() else "_" for c in self.title.lower())


def network(name: str, **options: Any) -> Callable[[], keras.Model]:
    """The builder of a network with 19 classes at `SIZE`."""

    def build() -> keras.Model:
        from asap_tf.models import create_model

        return create_model(name, 19, (*SIZE, 3), **options)

    return build


def bare_resnet18() -> keras.Model:
    """The backbone from frames to its deepest map."""
    import keras

    model = network("asap")()
    return keras.Model(model.inputs, model.get_layer("backbone_layer4_1_relu2").output)


def product() -> keras.Model:
    """8.6 G multiply-adds and next to nothing else."""
    import keras

    x = frames = keras.Input((32, 32, 1024))
    for _ in range(8):
        x = keras.layers.Conv2D(1024, 1, use_bias=False)(x)
    return keras.Model(frames, x)


BARE = Entry("bare ResNet18, naively", bare_resnet18, None, True)
PRODUCT = Entry("product of matrices", product, None, True)
ASAP = Entry("ASAP, labels of stride 2", network("asap"), 2)
ENTRIES = (
    PRODUCT,
    BARE,
    Entry("ASAP, naively", network("asap"), 1, True),
    Entry("ASAP", network("asap")),
    ASAP,
    Entry("ASAP, labels of stride 4", network("asap"), 4),
    Entry("ASAP at half width, labels of stride 2", network("asap", width=0.5), 2),
    Entry("ASAP, ResNet18-vd, labels of stride 2", network("asap", backbone="resnet18_vd"), 2),
    Entry(
        "ASAP, ResNet18-vd at half width, labels of stride 2",
        network("asap", backbone="resnet18_vd", width=0.5),
        2,
    ),
    Entry("ASAP, Lite0, labels of stride 2", network("asap", backbone="efficientnet_lite0"), 2),
    Entry("ASAP, fused at stride 4, labels of stride 2", network("asap", fuse_stride=4), 2),
    Entry(
        "ASAP, Lite0, fused at stride 4, labels of stride 2",
        network("asap", backbone="efficientnet_lite0", fuse_stride=4),
        2,
    ),
    Entry("ASAP fast, labels of stride 2", network("asap_fast"), 2),
    Entry("STDC1-Seg50, labels of stride 2", network("stdc1"), 2),
    Entry("STDC2-Seg50, labels of stride 2", network("stdc2"), 2),
    Entry("BiSeNetV2, labels of stride 2", network("bisenetv2"), 2),
    Entry("DDRNet-23-slim, labels of stride 2", network("ddrnet_23_slim"), 2),
    Entry("PIDNet-S, labels of stride 2", network("pidnet_s"), 2),
)


def written(
    entry: Entry, row: Format, precision: str, folder: Path, frames: Sequence[np.ndarray]
) -> Path:
    """The artifact of an entry, made if it is not there yet."""
    import keras

    from asap_tf.export.graph import Deployment

    path = folder / f"{entry.stem}_{row.file_name(precision)}"
    if path.exists():
        return path
    keras.utils.set_random_seed(0)
    model = entry.build()
    # Both files of OpenVINO get their names at the end, so that no half of one is ever found.
    with tempfile.TemporaryDirectory(dir=folder) as staging:
        made = Path(staging) / path.name
        if entry.label_stride is None:
            if model.input_shape[1:3] != SIZE:
                frames = [noise(model.input_shape[1:], np.uint8)]
            write_naively(model, made, frames)
        else:
            deployment = Deployment(model, SIZE, label_stride=entry.label_stride)
            options: dict[str, Any] = {"rewrites": ()} if entry.naive else {}
            metadata = {"precision": precision}
            row.load_writer().write(deployment, precision, made, frames, metadata, **options)
        for file in sorted(made.parent.iterdir(), key=lambda file: file == made):
            file.rename(folder / file.name)
    # See `asap_tf.export.exporter`: graphs of networks pile up.
    gc.collect()
    return path


def time_all(
    entries: Sequence[Entry], runtimes: Sequence[str], folder: Path, threads: int, rounds: int
) -> dict[str, dict[Entry, list[float]]]:
    """Seconds of every round, by runtime and entry."""
    from asap_tf.streets import render

    write_source(folder, SIZE)
    frames = [render(seed, *SIZE).image for seed in range(CALIBRATION)]
    found = {}
    for runtime in runtimes:
        bar = tqdm(entries, f"{runtime}: exporting", unit="network", disable=None)
        paths = [written(entry, *RUNTIMES[runtime], folder, frames) for entry in bar]
        specs = [spec_of(*each, folder, threads) for each in zip(entries, paths, strict=True)]
        found[runtime] = dict(zip(entries, time_specs(specs, runtime, rounds), strict=True))
    return found


def time_specs(
    specs: Sequence[BareSpec | ArtifactSpec], runtime: str, rounds: int
) -> Iterator[list[float]]:
    """Seconds of every round, for each spec."""
    with contextlib.ExitStack() as stack:
        workers = [stack.enter_context(Worker(spec)) for spec in specs]
        for worker in tqdm(workers, f"{runtime}: warming up", disable=None):
            warm_up(worker)
        bar = stack.enter_context(tqdm(desc=f"{runtime}: measuring", total=rounds, disable=None))
        turns = measure(workers, 0, lambda done, _: bar.update(done - bar.n), least=rounds)
    for own in zip(*turns, strict=True):
        yield [turn["network"] for turn in own]


def spec_of(entry: Entry, path: Path, folder: Path, threads: int) -> BareSpec | ArtifactSpec:
    """What to run in a process of its own."""
    if entry.label_stride is None:
        return BareSpec(path, folder, threads)
    return ArtifactSpec(path, folder, SIZE, threads, rows=("network",))


def rows_of(seconds: dict[Entry, list[float]]) -> Iterator[list[str]]:
    """The table's rows of one runtime."""
    for entry, own in seconds.items():
        took = summarize(own)
        yield [
            entry.title,
            f"{1000 * took.p50:.1f}",
            f"{took.rate:.1f}",
            ratio_text(speedup(own, seconds[BARE])),
            ratio_text(speedup(own, seconds[ASAP])),
        ]


@click.command()
@click.option("--artifacts", type=click.Path(path_type=Path, file_okay=False), required=True)
@click.option("--runtime", "runtimes", multiple=True, type=click.Choice(list(RUNTIMES)))
@click.option("--row", "rows", multiple=True, help="Part of a row's name.  [default: all rows]")
@click.option("--threads", default=2, show_default=True)
@click.option("--rounds", default=30, show_default=True)
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="Write every timing.")
def main(
    artifacts: Path,
    runtimes: tuple[str, ...],
    rows: tuple[str, ...],
    threads: int,
    rounds: int,
    json_file: Path | None,
) -> None:
    """Prints the table of every runtime."""
    from asap_tf.core.keras_backend import import_keras

    import_keras()
    artifacts.mkdir(parents=True, exist_ok=True)
    machine = this_machine()
    kept = [e for e in ENTRIES if any(row in e.title for row in rows or ("",))]
    entries = [e for e in ENTRIES if e in (BARE, ASAP, *kept)]
    found = time_all(entries, runtimes or tuple(RUNTIMES), artifacts, threads, rounds)
    print(*machine_lines(machine), *warning_lines(machine), sep="\n")
    for runtime, seconds in found.items():
        print(f"\n## {runtime}, {threads} threads, {rounds} rounds\n")
        print(*table(HEADER, list(rows_of(seconds)), "lrrrr"), sep="\n")
    if json_file is not None:
        timings = {
            runtime: {entry.title: own for entry, own in seconds.items()}
            for runtime, seconds in found.items()
        }
        write_json(json_file, {"machine": machine.name, "seconds": timings})


if __name__ == "__main__":
    main()
