"""CamVid mIoU against frames a second, ASAP and its rivals, as a picture and as a table.

    python benchmarks/realtime.py --artifacts FOLDER --json realtime.json
    for name in asap stdc1 stdc2 bisenetv2 ddrnet_23_slim pidnet_s; do
        asap-tf train camvid_resnet18 --data CamVid --set model.name=$name \
            --set train.epochs=60 --out runs/$name
    done
    asap-tf train camvid_resnet18_half --data CamVid --out runs/half
    asap-tf train camvid_resnet18_half --data CamVid --out runs/vd_half \
        --set model.backbone=resnet18_vd
    python benchmarks/family.py docs/family.json docs/family.png --times realtime.json \
        --run ASAP=runs/asap --run "ASAP at half width=runs/half" \
        --run "ASAP, ResNet18-vd at half width=runs/vd_half" --run STDC1-Seg50=runs/stdc1 ...

Runs are held against each other: one recipe, random weights, as many frames for all. The presets
stand beside them as rings, since ImageNet or a teacher helped them. Every network is scored by the
validation that its file carries. docs/family.json keeps what was measured before, so that a run
more is a point more; several seeds of a network are one point, at their mean.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
from PIL import Image, ImageDraw

from asap_tf.benchmark.chart import INK, PAPER, RULE, SOFT, font
from asap_tf.benchmark.markdown import table
from asap_tf.benchmark.statistics import summarize
from asap_tf.core.files import write_json
from asap_tf.saving.metadata import read_metadata
from asap_tf.saving.presets import preset_file
from asap_tf.training.report.charts import number, ticks

PRESETS = {
    "asap_resnet18_camvid": "ASAP",
    "asap_resnet18_half_camvid": "ASAP at half width",
    "asap_lite0_camvid": "ASAP, Lite0, fused at stride 4",
}
"""The row of a preset."""

PANELS = ("LiteRT int8", "OpenVINO int8")

SIZE, TOP, BOTTOM = (1800, 900), 190, 800
EDGES = ((100, 880), (980, 1760))
"""Left and right of each panel."""

OWN, OTHER = "#1e40af", "#b91c1c"
RADIUS = 9

Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Network:
    """A point of each panel.

    Attributes:
        name: Of a run or preset.
        miou: Percent, the mean of its seeds.
        seeds: How many.
        rates: Frames a second, by panel.
    """

    name: str
    miou: float
    seeds: int
    rates: tuple[float, ...]

    @property
    def color(self) -> str:
        """Whether it is ours."""
        return OWN if self.name.lower().startswith("asap") else OTHER


def add_times(figures: dict[str, Any], times: Path) -> None:
    """Frames a second of every row that `realtime.py` timed, by runtime."""
    for runtime, rows in json.loads(times.read_text(encoding="utf-8"))["seconds"].items():
        figures["rates"][runtime] = {
            row: round(summarize(own).rate, 1) for row, own in rows.items()
        }


def add_run(figures: dict[str, Any], row: str, model: Path) -> None:
    """The score of a run, by network and seed."""
    seed = str(read_metadata(model)["recipe"]["train"]["seed"])
    figures["miou"].setdefault(row, {})[seed] = round(score(model), 2)


def point(figures: dict[str, Any], name: str, row: str, scores: Sequence[float]) -> Network:
    """A point at the mean of its scores and the speed of its row."""
    timed = f"{row}, labels of stride 2"
    missing = [panel for panel in PANELS if timed not in figures["rates"][panel]]
    if missing:
        raise click.UsageError(f"{timed!r} has not been timed in {missing[0]}")
    rates = tuple(figures["rates"][panel][timed] for panel in PANELS)
    return Network(name, float(np.mean(scores)), len(scores), rates)


def score(model: Path) -> float:
    """Percent, of the validation that a model carries."""
    return 100 * read_metadata(model)["scores"]["miou"]


@dataclass(frozen=True)
class Panel:
    """The axes of a runtime.

    Attributes:
        title: The runtime.
        sides: Left and right, in pixels.
        across: Marks of the frames a second, from 0.
        up: Marks of the mIoU, upwards.
    """

    title: str
    sides: tuple[int, int]
    across: Sequence[float]
    up: Sequence[float]

    def place(self, rate: float, miou: float) -> tuple[float, float]:
        """Pixel of a point."""
        left, right = self.sides
        return (
            left + (right - left) * rate / self.across[-1],
            BOTTOM - (BOTTOM - TOP) * (miou - self.up[0]) / (self.up[-1] - self.up[0]),
        )

    def draw(self, draw: ImageDraw.ImageDraw) -> None:
        """Title, lines and numbers."""
        left, right = self.sides
        draw.text((left, TOP - 48), self.title, INK, font(24))
        for mark in self.up:
            _, y = self.place(0, mark)
            draw.line((left, y, right, y), RULE, 2)
            draw.text((left - 14, y), number(mark), SOFT, font(20), anchor="rm")
        for mark in self.across:
            x, y = self.place(mark, self.up[0])
            draw.text((x, y + 14), number(mark), SOFT, font(20), anchor="ma")
        draw.text((right, BOTTOM + 48), "frames a second", SOFT, font(20), anchor="ra")


def draw_chart(networks: Sequence[Network]) -> Image.Image:
    """Networks from random weights as discs, presets as rings."""
    picture = Image.new("RGB", SIZE, PAPER)
    draw = ImageDraw.Draw(picture)
    draw.text((48, 36), "CamVid mIoU against frames a second", INK, font(36))
    note = "validation at 352 x 480; speed at 512 x 1024 on two processor cores"
    draw.text((48, 88), note, SOFT, font(20))
    legend = "discs: from random weights, one recipe    rings: presets, from ImageNet or a teacher"
    draw.text((SIZE[0] - 48, 88), legend, SOFT, font(20), anchor="ra")
    scores = [network.miou for network in networks]
    up = ticks(np.floor(min(scores)), max(scores))
    across = ticks(0, max(rate for network in networks for rate in network.rates))
    for i, (title, sides) in enumerate(zip(PANELS, EDGES, strict=True)):
        panel = Panel(title, sides, across, up)
        panel.draw(draw)
        places = [panel.place(network.rates[i], network.miou) for network in networks]
        taken = [around(x, y) for x, y in places]
        # Long names first: they have the fewest places to choose from.
        for network, (x, y) in sorted(
            zip(networks, places, strict=True), key=lambda pair: -len(pair[0].name)
        ):
            fill = PAPER if network.name in PRESETS else network.color
            draw.ellipse(around(x, y), fill, network.color, 4)
            text = f"{network.name} {network.miou:.1f}"
            place, anchor = free_place(draw, text, x, y, sides, taken)
            taken.append(draw.textbbox(place, text, font(19), anchor))
            draw.text(place, text, network.color, font(19), anchor)
    return picture


def around(x: float, y: float) -> Box:
    """The box of a mark."""
    return x - RADIUS, y - RADIUS, x + RADIUS, y + RADIUS


def free_place(
    draw: ImageDraw.ImageDraw,
    text: str,
    x: float,
    y: float,
    sides: tuple[int, int],
    taken: Sequence[Box],
) -> tuple[tuple[float, float], str]:
    """Where a mark's text covers nothing, and its anchor; the first choice if it always does."""

    def meets(a: Box, b: Box) -> bool:
        return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]

    gap = RADIUS + 6
    choices = [
        ((x + gap, y), "lm"), ((x - gap, y), "rm"), ((x, y - gap), "mb"), ((x, y + gap), "mt"),
        ((x + gap, y - gap), "lb"), ((x + gap, y + gap), "lt"),
        ((x - gap, y - gap), "rb"), ((x - gap, y + gap), "rt"),
    ]  # fmt: skip
    for place, anchor in choices:
        box = draw.textbbox(place, text, font(19), anchor)
        if sides[0] <= box[0] and box[2] <= sides[1] and not any(meets(box, b) for b in taken):
            return place, anchor
    return choices[0]


def rows_of(networks: Sequence[Network]) -> Iterator[list[str]]:
    """Lines of the table."""
    for network in sorted(networks, key=lambda network: -network.miou):
        start = "preset" if network.name in PRESETS else "random weights"
        speeds = [f"{rate:.0f}" for rate in network.rates]
        yield [network.name, start, str(network.seeds), f"{network.miou:.1f}", *speeds]


@click.command()
@click.argument("figures_file", metavar="FIGURES", type=click.Path(path_type=Path, exists=True))
@click.argument("picture", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--times", type=click.Path(path_type=Path, exists=True), help="realtime.py's JSON.")
@click.option("--run", "runs", multiple=True, help="ROW=RUN, trained from random weights.")
def main(figures_file: Path, picture: Path, times: Path | None, runs: tuple[str, ...]) -> None:
    """Adds what is given to FIGURES, draws PICTURE from it, and prints its table."""
    figures = json.loads(figures_file.read_text(encoding="utf-8"))
    if times is not None:
        add_times(figures, times)
    for row, _, run in (given.partition("=") for given in runs):
        add_run(figures, row, Path(run) / "model.keras")
    networks = [
        point(figures, preset, row, [score(preset_file(preset))]) for preset, row in PRESETS.items()
    ]
    networks += [
        point(figures, row, row, list(seeds.values())) for row, seeds in figures["miou"].items()
    ]
    write_json(figures_file, figures)
    draw_chart(networks).save(picture)
    header = ("network", "from", "seeds", "mIoU", *(f"FPS, {panel}" for panel in PANELS))
    print(*table(header, list(rows_of(networks)), "llrrrr"), sep="\n")


if __name__ == "__main__":
    main()
