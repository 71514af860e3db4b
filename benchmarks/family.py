"""CamVid mIoU against frames a second, ASAP and its rivals, as a picture and as a table.

    python benchmarks/realtime.py --artefacts FOLDER > realtime.md
    for name in asap stdc1 stdc2 bisenetv2 ddrnet_23_slim pidnet_s; do
        asap-tf train camvid_resnet18 --data CamVid --set model.name=$name \
            --set train.epochs=60 --out runs/$name
    done
    asap-tf train camvid_resnet18_half --data CamVid --out runs/half
    asap-tf train camvid_resnet18_half --data CamVid --out runs/vd_half \
        --set model.backbone=resnet18_vd
    python benchmarks/family.py realtime.md family.png --run ASAP=runs/asap \
        --run "ASAP at half width=runs/half" \
        --run "ASAP, ResNet18-vd at half width=runs/vd_half" --run STDC1-Seg50=runs/stdc1 ...

Runs are held against each other: one recipe, random weights, as many frames for all. The presets
stand beside them as rings, since ImageNet or a teacher helped them. Every network is scored by the
validation that its file carries; a row of realtime.md that no run is given for is left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np
from PIL import Image, ImageDraw

from asap_tf.benchmark.chart import INK, PAPER, RULE, SOFT, font
from asap_tf.benchmark.markdown import table
from asap_tf.presets import preset_file
from asap_tf.report.charts import number, ticks
from asap_tf.runtime.metadata import read_metadata

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
        miou: Percent.
        rates: Frames a second, by panel.
    """

    name: str
    miou: float
    rates: tuple[float, ...]

    @property
    def color(self) -> str:
        """Whether it is ours."""
        return OWN if self.name.lower().startswith("asap") else OTHER


def rates(report: str, row: str) -> tuple[float, ...]:
    """Frames a second of a row of `realtime.py`, by panel.

    Raises:
        click.UsageError: if a table does not have it.
    """
    found = []
    for panel in PANELS:
        start = report.find(f"\n## {panel}")
        rest = report[start:].split("\n## ")[1] if start >= 0 else ""
        name = re.escape(f"{row}, labels of stride 2")
        match = re.search(rf"^\| {name} +\| +[\d.]+ \| +([\d.]+) \|", rest, re.MULTILINE)
        if not match:
            raise click.UsageError(f"the report has no row {row!r} in a table of {panel}")
        found.append(float(match[1]))
    return tuple(found)


def score(file: Path) -> float:
    """Percent, of the validation that a model carries."""
    return 100 * read_metadata(file)["scores"]["miou"]


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
        for network, (x, y) in zip(networks, places, strict=True):
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
        yield [network.name, start, f"{network.miou:.1f}", *speeds]


@click.command()
@click.argument("report", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.argument("picture", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--run", "runs", multiple=True, help="ROW=RUN, trained from random weights.")
def main(report: Path, picture: Path, runs: tuple[str, ...]) -> None:
    """Draws PICTURE from REPORT, what realtime.py printed."""
    text = report.read_text(encoding="utf-8")
    networks = [
        Network(preset, score(preset_file(preset)), rates(text, row))
        for preset, row in PRESETS.items()
    ]
    for row, _, run in (given.partition("=") for given in runs):
        networks.append(Network(row, score(Path(run) / "model.keras"), rates(text, row)))
    draw_chart(networks).save(picture)
    header = ("network", "from", "mIoU", *(f"FPS, {panel}" for panel in PANELS))
    print(*table(header, list(rows_of(networks)), "llrrr"), sep="\n")


if __name__ == "__main__":
    main()
