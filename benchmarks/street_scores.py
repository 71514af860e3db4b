"""What presets of streets score, on every dataset and at every size: tables of docs/accuracy.md.

    python benchmarks/street_scores.py docs/street_scores.json --data DATA [--model FILE]

DATA as of the recipe `street_resnet18`, with `cityscapes8`, eight full-size frames. All but
`cityscapes256` may be left out. Scores that the JSON file has of a model's very weights are not
taken again.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import click

import asap_tf
from asap_tf.benchmark.markdown import table
from asap_tf.core.files import write_json
from asap_tf.data.label_tables import load_table
from asap_tf.inference.evaluate import evaluate
from asap_tf.runtime import Segmenter
from asap_tf.saving import fingerprint, locate, preset_files


@dataclass(frozen=True)
class Source:
    """Frames to score on, and the longer sides that they are brought to.

    Attributes:
        title: Name for people.
        root: Folder of the dataset.
        sizes: Longer sides, in pixels.
        split: Split to score.
        table: Label table; None for a dataset of the presets' own classes.
        holdout: Frames to score, as `asap-tf eval --holdout` has them; None for the split's own.
    """

    title: str
    root: str
    sizes: tuple[int, ...]
    split: str = "val"
    table: str | None = None
    holdout: str | None = None

    def key(self, size: int) -> str:
        return f"{self.root} {size}"

    def score(self, segmenter: Segmenter, data: Path, size: int) -> dict[str, object]:
        dataset = asap_tf.open_dataset(data / self.root)
        if self.holdout:
            dataset = dataset.holdout(self.holdout, "train", self.split)
        segmenter.size = size
        names = load_table(self.table) if self.table else None
        scores = evaluate(segmenter, dataset, self.split, table=names).to_dict()
        return {"miou": scores["miou"], "iou": scores["iou"]}


SOURCES = (
    Source("Cityscapes at 256 x 512", "cityscapes256", (384, 512, 768, 1024)),
    Source("CamVid", "camvid", (512, 768), table="camvid"),
    Source("IDD-Lite", "idd_lite", (512,), table="idd_lite", holdout="5"),
    Source("eight full frames", "cityscapes8", (512, 768, 1024), split="train"),
)
SIZES = sorted({size for source in SOURCES for size in source.sizes})


def percent(score: float | None) -> str:
    return "" if score is None else f"{100 * score:.1f}"


def print_tables(scores: dict[str, dict[str, dict]]) -> None:
    """mIoU by size and source, and IoU by class at 512 pixels."""
    rows = []
    for model, found in scores.items():
        for size in SIZES:
            keys = [source.key(size) for source in SOURCES]
            cells = [percent(found[key]["miou"] if key in found else None) for key in keys]
            rows.append([f"`{model}`" if size == SIZES[0] else "", str(size), *cells])
    header = ["model", "longer side", *(source.title for source in SOURCES)]
    print("\n".join(table(header, rows, "lr" + "r" * len(SOURCES))), end="\n\n")
    columns = [found[SOURCES[0].key(512)]["iou"] for found in scores.values()]
    rows = [[name, *(percent(iou[name]) for iou in columns)] for name in columns[0]]
    header = ["class", *(f"`{model}`" for model in scores)]
    print("\n".join(table(header, rows, "l" + "r" * len(columns))))


@click.command()
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--data", required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--model", "models", multiple=True, help="[default: the presets of streets]")
def main(out: Path, data: Path, models: tuple[str, ...]) -> None:
    """Scores models, keeps their scores in OUT, and prints tables."""
    models = models or tuple(name for name in preset_files() if name.endswith("_street"))
    known = json.loads(out.read_text(encoding="utf-8")) if out.exists() else {}
    kept: dict[str, dict] = {}
    for model in models:
        weights = fingerprint(locate(model))
        same = known.get(model, {}).get("sha256") == weights
        kept[model] = known[model] if same else {"sha256": weights, "scores": {}}
        found = kept[model]["scores"]
        missing = [
            (source, size)
            for source in SOURCES
            if (data / source.root).exists()
            for size in source.sizes
            if source.key(size) not in found
        ]
        if not missing:
            continue
        segmenter = asap_tf.load(model)
        for source, size in missing:
            click.echo(f"{model}: {source.key(size)}", err=True)
            found[source.key(size)] = source.score(segmenter, data, size)
            write_json(out, known | kept)
    print_tables({model: entry["scores"] for model, entry in kept.items()})


if __name__ == "__main__":
    main()
