"""Score against frames a second, as a picture: the presets, and their rivals.

    python benchmarks/realtime.py --artefacts FOLDER --runtime "LiteRT int8" > realtime.md
    python benchmarks/family.py realtime.md docs/family.png [--run "STDC1-Seg50=RUN"]...

A preset is scored by the validation that it carries. Rivals that have been trained on CamVid are
given by their run folders; the others are lines at their speed, with nothing said of their score.
"""

from __future__ import annotations

import re
from pathlib import Path

import click
import numpy as np
from PIL import Image, ImageDraw

from asap_tf.benchmark.chart import font
from asap_tf.presets import preset_file
from asap_tf.report.charts import number, ticks
from asap_tf.runtime.metadata import read_metadata

OURS = {
    "ASAP, labels of stride 2": "asap_resnet18_camvid",
    "ASAP at half width, labels of stride 2": "asap_resnet18_half_camvid",
    "ASAP, Lite0, fused at stride 4, labels of stride 2": "asap_lite0_camvid",
}
"""The preset of a row."""

RIVALS = ("STDC1-Seg50", "STDC2-Seg50", "BiSeNetV2", "DDRNet-23-slim", "PIDNet-S")

SIZE, LEFT, RIGHT, TOP, BOTTOM = (1600, 900), 130, 1540, 150, 800
INK, SOFT, RULE, PAPER, OWN, OTHER, FAINT = (
    "#1d2129", "#5d6673", "#dfe3e8", "#ffffff", "#1e40af", "#b91c1c", "#f3c6c6",
)  # fmt: skip


def rates(report: str) -> dict[str, float]:
    """Frames a second by row of the first table of `realtime.py`."""
    table = report[report.index("\n## LiteRT") :].split("\n## ")[1]
    rows = re.findall(r"^\| ([^|]+?) +\| +[\d.]+ \| +([\d.]+) \|", table, re.MULTILINE)
    return {name: float(rate) for name, rate in rows}


def score(file: Path) -> float:
    """Percent, of the validation that a model carries."""
    return 100 * read_metadata(file)["scores"]["miou"]


def draw_chart(points: dict[str, tuple[float, float]], lines: dict[str, float]) -> Image.Image:
    """Points are (frames a second, mIoU), lines frames a second."""
    picture = Image.new("RGB", SIZE, PAPER)
    draw = ImageDraw.Draw(picture)
    draw.text((48, 40), "CamVid mIoU against frames a second", INK, font(36))
    note = "validation at 352 x 480; speed of LiteRT int8 at 512 x 1024 on two processor cores"
    draw.text((48, 92), note, SOFT, font(20))
    across = ticks(0, max([rate for rate, _ in points.values()] + [*lines.values()]))
    up = ticks(np.floor(min(y for _, y in points.values()) - 2), max(y for _, y in points.values()))

    def place(rate: float, miou: float) -> tuple[float, float]:
        return (
            LEFT + (RIGHT - LEFT) * rate / across[-1],
            BOTTOM - (BOTTOM - TOP) * (miou - up[0]) / (up[-1] - up[0]),
        )

    for mark in up:
        _, y = place(0, mark)
        draw.line((LEFT, y, RIGHT, y), RULE, 2)
        draw.text((LEFT - 16, y), number(mark), SOFT, font(20), anchor="rm")
    for mark in across:
        draw.text((place(mark, up[0])[0], BOTTOM + 14), number(mark), SOFT, font(20), anchor="ma")
    draw.text((RIGHT, BOTTOM + 48), "frames a second", SOFT, font(20), anchor="ra")
    for row, (name, rate) in enumerate(sorted(lines.items(), key=lambda item: item[1])):
        x, _ = place(rate, up[0])
        draw.line((x, TOP, x, BOTTOM), FAINT, 2)
        text = f"{name}: not yet trained"
        draw.text((x + 8, BOTTOM - 34 - 30 * (row % 4)), text, OTHER, font(18))
    for name, (rate, miou) in points.items():
        x, y = place(rate, miou)
        color = OTHER if name in RIVALS else OWN
        draw.ellipse((x - 9, y - 9, x + 9, y + 9), color)
        text = f"{name}  {miou:.1f} at {rate:.0f}"
        anchor = "rb" if x > (LEFT + RIGHT) / 2 else "lb"
        draw.text(
            (x + (-14 if anchor == "rb" else 14), y - 8), text, color, font(22), anchor=anchor
        )
    return picture


@click.command()
@click.argument("report", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.argument("picture", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--run", "runs", multiple=True, help="NAME=RUN of a rival that was trained.")
def main(report: Path, picture: Path, runs: tuple[str, ...]) -> None:
    """Draws PICTURE from REPORT, what realtime.py printed."""
    rate = rates(report.read_text(encoding="utf-8"))
    trained = dict(run.split("=", 1) for run in runs)
    points = {preset: (rate[row], score(preset_file(preset))) for row, preset in OURS.items()}
    for name in RIVALS:
        if name in trained:
            file = Path(trained[name]) / "model.keras"
            points[name] = (rate[f"{name}, labels of stride 2"], score(file))
    lines = {n: rate[f"{n}, labels of stride 2"] for n in RIVALS if n not in trained}
    draw_chart(points, lines).save(picture)
    for name, (frames, miou) in points.items():
        print(f"{name}: {miou:.1f} mIoU at {frames:.1f} frames a second")


if __name__ == "__main__":
    main()
