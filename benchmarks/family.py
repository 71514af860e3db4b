"""CamVid mIoU against frames a second, ASAP and its rivals, as a chart and as a table.

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

Runs are compared with each other: one recipe, random weights, as many frames for all. The presets
are rings, since ImageNet or a teacher helped them. Every network is scored by the validation that
its file carries. docs/family.json keeps earlier measurements, so that another run adds a point;
several seeds of a network are one point, at their mean.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
from matplotlib.axes import Axes
from matplotlib.transforms import Bbox

from asap_tf.benchmark.markdown import table
from asap_tf.benchmark.statistics import summarize
from asap_tf.core.charts import COLORS, SOFT, new_figure, save_png
from asap_tf.core.files import write_json
from asap_tf.saving import preset_files, read_metadata

PRESETS = {
    "asap_resnet18_half_camvid": "ASAP at half width",
    "asap_lite0_camvid": "ASAP, Lite0, fused at stride 4",
}
"""The row of a preset."""

PANELS = ("LiteRT int8", "OpenVINO int8")

PLACES = (
    ((8, 0), "left", "center"), ((-8, 0), "right", "center"),
    ((0, 7), "center", "bottom"), ((0, -7), "center", "top"),
    ((7, 5), "left", "bottom"), ((7, -5), "left", "top"),
    ((-7, 5), "right", "bottom"), ((-7, -5), "right", "top"),
)  # fmt: skip
"""Where a name may stand beside its point: offset in printer's points, and alignment."""


@dataclass(frozen=True)
class Point:
    """A network: a point in each panel.

    Attributes:
        name: Name of the run or preset.
        miou: mIoU in percent, the mean over the seeds.
        seeds: Number of seeds.
        rates: Frames a second by panel.
    """

    name: str
    miou: float
    seeds: int
    rates: tuple[float, ...]

    @property
    def color(self) -> str:
        """One color for ASAP, another for its rivals."""
        return COLORS[0] if self.name.lower().startswith("asap") else COLORS[1]


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


def point(figures: dict[str, Any], name: str, row: str, scores: Sequence[float]) -> Point:
    """A point at the mean of its scores and the speed of its row."""
    timed = f"{row}, labels of stride 2"
    missing = [panel for panel in PANELS if timed not in figures["rates"][panel]]
    if missing:
        raise click.UsageError(f"{timed!r} has not been timed in {missing[0]}")
    rates = tuple(figures["rates"][panel][timed] for panel in PANELS)
    return Point(name, float(np.mean(scores)), len(scores), rates)


def score(model: Path) -> float:
    """Percent, of the validation that a model carries."""
    return 100 * read_metadata(model)["scores"]["miou"]


def draw_chart(points: Sequence[Point], path: Path) -> None:
    """Networks from random weights as discs, presets as rings."""
    with new_figure(9, 4.5) as figure:
        figure.suptitle("CamVid mIoU against frames a second", x=0.01, ha="left", size=14)
        figure.supxlabel(
            "discs: from random weights, one recipe; rings: presets, from ImageNet or a teacher\n"
            "validation at 352 x 480; speed at 512 x 1024 on two processor cores",
            x=0.01, ha="left", size=8, color=SOFT,
        )  # fmt: skip
        panels = figure.subplots(1, 2, sharey=True)
        for i, (axes, title) in enumerate(zip(panels, PANELS, strict=True)):
            axes.set_title(title)
            axes.set_xlabel("frames a second")
            axes.set_xlim(0, 1.08 * max(point.rates[i] for point in points))
            for point in points:
                face = "white" if point.name in PRESETS else point.color
                axes.plot(point.rates[i], point.miou, "o", ms=7, mfc=face, mec=point.color, mew=2)
        panels[0].set_ylabel("mIoU, %")
        figure.draw_without_rendering()
        for i, axes in enumerate(panels):
            add_names(axes, [(point, (point.rates[i], point.miou)) for point in points])
        save_png(figure, path)


def add_names(axes: Axes, points: Sequence[tuple[Point, tuple[float, float]]]) -> None:
    """Writes each name where it covers nothing, long names first; at worst in the last place."""
    pixels = [axes.transData.transform(place) for _, place in points]
    taken = [Bbox.from_bounds(x - 7, y - 7, 14, 14) for x, y in pixels]
    for point, place in sorted(points, key=lambda item: -len(item[0].name)):
        text = f"{point.name} {point.miou:.1f}"
        name = axes.annotate(
            text, place, (0, 0), textcoords="offset points", size=7, color=point.color
        )
        for offset, ha, va in PLACES:
            name.set(position=offset, ha=ha, va=va)
            box = name.get_window_extent()
            inside = axes.bbox.x0 <= box.x0 and box.x1 <= axes.bbox.x1
            if inside and not any(box.overlaps(other) for other in taken):
                break
        taken.append(box)


def rows_of(points: Sequence[Point]) -> Iterator[list[str]]:
    """Lines of the table."""
    for point in sorted(points, key=lambda point: -point.miou):
        start = "preset" if point.name in PRESETS else "random weights"
        speeds = [f"{rate:.0f}" for rate in point.rates]
        yield [point.name, start, str(point.seeds), f"{point.miou:.1f}", *speeds]


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
    presets = preset_files()
    points = [
        point(figures, preset, row, [score(presets[preset])]) for preset, row in PRESETS.items()
    ]
    points += [
        point(figures, row, row, list(seeds.values())) for row, seeds in figures["miou"].items()
    ]
    write_json(figures_file, figures)
    draw_chart(points, picture)
    header = ("network", "from", "seeds", "mIoU", *(f"FPS, {panel}" for panel in PANELS))
    print(*table(header, list(rows_of(points)), "llrrrr"), sep="\n")


if __name__ == "__main__":
    main()
