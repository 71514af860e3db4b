"""Widths and depths of `asap_fast` by short trainings, of those that the latency table allows.

    python benchmarks/search.py docs/search.json --data cityscapes256 --out runs/search \
        --milliseconds 10.3 --rung 24x1 --rung 6x4 --rung 2x20 --rival ddrnet_23_slim \
        --rival "asap width=0.5 backbone=resnet18_vd"

Candidates are drawn at random among all that take between 0.95 and 1 times the milliseconds in
OpenVINO int8, have no more parameters than a preset of 8 MB holds, and widths that grow from stage
to stage. Each is trained from random weights by the recipe `cityscapes256`, all of a rung for as
many epochs; the best go on to the next rung, where they begin anew. Rivals, networks with options,
are trained in every rung to hold the candidates against. Stopped, it resumes; rows that the file
has are not trained again.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
from latency import foretold
from latency_table import Block, LatencyTable
from realtime import SIZE, Entry, network
from tqdm import tqdm

from asap_tf.benchmark.machine import this_machine
from asap_tf.benchmark.markdown import table
from asap_tf.core.files import write_json
from asap_tf.models.registry import options_of
from asap_tf.reproduce.ablations import Row, Variant, train_rows
from asap_tf.training.recipe import load_recipe

RUNTIME = "OpenVINO"
LEAST, PARAMETERS = 0.95, 4.1e6

WIDTHS = (
    range(16, 33, 8),
    range(24, 73, 8),
    range(48, 145, 16),
    range(96, 257, 32),
    range(128, 385, 32),
)
DEPTHS = (range(2), range(3), range(1, 5), range(1, 7), range(1, 5))


@dataclass(frozen=True)
class Candidate:
    """A network of the family.

    Attributes:
        widths: As of `ASAPFast`.
        depths: As of `ASAPFast`.
    """

    widths: tuple[int, ...]
    depths: tuple[int, ...]

    @property
    def name(self) -> str:
        """Of its folder and its rows."""
        return "_".join("-".join(map(str, numbers)) for numbers in (self.widths, self.depths))

    @property
    def variant(self) -> Variant:
        """As of a table of trainings."""
        options = (("widths", self.widths), ("depths", self.depths))
        return Variant(self.name, self.name, options)

    @property
    def entry(self) -> Entry:
        """As of the latency table."""
        return Entry(self.name, network("asap_fast", widths=self.widths, depths=self.depths), 2)

    def blocks(self) -> Iterator[Block]:
        """Convolutions of the backbone, but its first."""
        before = None
        for stage, (width, depth) in enumerate(zip(self.widths, self.depths, strict=True), 1):
            positions = SIZE[0] * SIZE[1] // 4**stage
            if before:
                yield Block("conv3_s2", 9 * before * width * positions, positions, (before, width))
            inner = Block("conv3", 9 * width**2 * positions, positions, (width, width))
            yield from [inner] * (2 * depth)
            before = width

    def kernels(self) -> int:
        """Parameters of these convolutions."""
        return sum(block.work // block.positions for block in self.blocks())


def shipped() -> Candidate:
    """`ASAPFast` as it is without options."""
    options = options_of("asap_fast")
    return Candidate(options["widths"][1], options["depths"][1])


class Speed:
    """Milliseconds of candidates, by the latency table.

    What is not of the backbone is taken from one whole network, for all alike.
    """

    def __init__(self, known: LatencyTable):
        self.known = known
        self.rest = foretold(shipped().entry, RUNTIME, known) - self._of_blocks(shipped())

    def _of_blocks(self, candidate: Candidate) -> float:
        return sum(map(self.known.milliseconds, candidate.blocks()))

    def __call__(self, candidate: Candidate) -> float:
        """Of a whole candidate."""
        return self.rest + self._of_blocks(candidate)


def drawn(speed: Speed, limit: float, count: int) -> list[Candidate]:
    """So many different candidates that keep to a limit; `ASAPFast`'s own first, if it does."""

    def allowed(candidate: Candidate) -> bool:
        widths = candidate.widths
        grows = all(a < b for a, b in zip(widths, widths[1:], strict=False))
        fits = candidate.kernels() <= PARAMETERS
        return grows and fits and LEAST <= speed(candidate) / limit <= 1

    rng = np.random.default_rng(0)
    found = dict.fromkeys(filter(allowed, [shipped()]))
    with tqdm(total=count, desc="drawing", disable=None) as bar:
        while len(found) < count:
            numbers = (tuple(int(rng.choice(c)) for c in choices) for choices in (WIDTHS, DEPTHS))
            found |= dict.fromkeys(filter(allowed, [Candidate(*numbers)]))
            bar.update(len(found) - bar.n)
    return list(found)


def add_rung(
    figures: dict[str, Any],
    candidates: Sequence[Candidate],
    rivals: Sequence[str],
    epochs: int,
    data: Path,
    folder: Path,
    file: Path,
) -> list[Candidate]:
    """Trains what the file lacks of a rung, and gives all candidates, the best first."""
    rows = figures["rungs"].setdefault(str(epochs), {})

    def keep(row: Row) -> None:
        rows[row.variant] = {"miou": round(100 * row.miou, 2), "minutes": round(row.minutes, 1)}
        write_json(file, figures)

    def add(variants: Sequence[Variant], network: str, *options: str) -> None:
        missing = [variant for variant in variants if variant.name not in rows]
        recipe = load_recipe(
            "cityscapes256",
            [
                f"model.name={network}",
                *(f"model.{option}" for option in options),
                f"data.root={data.resolve()}",
                f"train.epochs={epochs}",
                f"train.validate_every={epochs}",
            ],
        )
        train_rows(missing, 1, recipe, folder / str(epochs), keep)

    for rival in rivals:
        add([Variant(rival, rival)], *rival.split())
    add([c.variant for c in candidates], "asap_fast")
    return sorted(candidates, key=lambda c: -rows[c.name]["miou"])


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--data", type=click.Path(path_type=Path, exists=True), required=True)
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), required=True)
@click.option("--latency", type=click.Path(path_type=Path), default=Path("docs/latency.json"))
@click.option("--milliseconds", type=float, required=True, help="Of OpenVINO int8, at most.")
@click.option("--rung", "rungs", multiple=True, required=True, metavar="CANDIDATESxEPOCHS")
@click.option("--rival", "rivals", multiple=True, metavar='"NAME OPTION=VALUE ..."')
def main(
    file: Path,
    data: Path,
    out: Path,
    latency: Path,
    milliseconds: float,
    rungs: tuple[str, ...],
    rivals: tuple[str, ...],
) -> None:
    """Trains the candidates of every rung, adds them to FILE, and prints them."""
    speed = Speed(LatencyTable(json.loads(latency.read_text())[RUNTIME]))
    figures = json.loads(file.read_text()) if file.exists() else {}
    figures = {"machine": this_machine().name, "milliseconds": milliseconds, "rungs": {}, **figures}
    counts = [tuple(map(int, rung.split("x"))) for rung in rungs]
    candidates = drawn(speed, milliseconds, counts[0][0])
    for count, epochs in counts:
        candidates = add_rung(figures, candidates[:count], rivals, epochs, data, out, file)
        scores = figures["rungs"][str(epochs)]
        rows = [
            [name, *numbers, f"{scores[name]['miou']:.1f}"]
            for name, *numbers in (
                *((c.name, f"{speed(c):.1f}", f"{c.kernels() / 1e6:.2f}") for c in candidates),
                *((rival, "-", "-") for rival in rivals),
            )
        ]
        print(f"\n## {epochs} epochs\n")
        header = ("widths and depths", "foretold, ms", "kernels, M", "mIoU")
        print(*table(header, rows, "lrrr"), sep="\n")


if __name__ == "__main__":
    main()
