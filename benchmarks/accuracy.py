"""What trainings came to: a row for each run folder, and how its score grew.

    python benchmarks/accuracy.py runs/lite0 runs/resnet18 [--curve]

Minutes are those that the run's log has, validations included: of the machine it ran on, and of
whatever else ran there.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from asap_tf.benchmark.markdown import table
from asap_tf.training.recipe import Recipe
from asap_tf.training.run_folder import RunFolder


def start(recipe: Recipe) -> str:
    weights = recipe.model.weights or "random"
    return f"{weights}, taught by {recipe.distill.teacher}" if recipe.distill else weights


def network(recipe: Recipe) -> str:
    model = recipe.model
    if model.name != "asap":
        return model.name
    options = model.options()
    width = "" if options["width"] == 1 else f", width {options['width']:g}"
    return f"{options['backbone']}{width}, stride {options['fuse_stride']}"


def minutes(log: list[dict], step: int) -> float:
    return sum(e.get("seconds", 0.0) for e in log if e["step"] <= step) / 60


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument("--curve", action="store_true", help="every validation, not just the best")
    arguments = parser.parse_args()

    rows, points, classes = [], [], []
    for path in arguments.runs:
        run = RunFolder(path)
        recipe, log = run.recipe, run.read_log()
        scores = json.loads(run.metrics.read_text(encoding="utf-8"))
        classes = list(scores["iou"])
        scored_on = recipe.data[0].holdout or scores["split"]
        train = recipe.train
        rows.append(
            [path.name, network(recipe), start(recipe), scored_on, str(train.seed)]
            + [str(train.epochs), f"{scores['training_minutes']:.0f}"]
            + [f"{100 * value:.1f}" for value in (scores["miou"], *scores["iou"].values())]
        )
        points += [
            [path.name, f"{e['epoch']:g}", f"{minutes(log, e['step']):.0f}"]
            + [f"{100 * e['val_miou']:.1f}"]
            for e in log
            if "val_miou" in e
        ]
    if arguments.curve:
        lines = table(["run", "epochs", "minutes", "mIoU"], points, "lrrr")
    else:
        header = ["run", "network", "from", "scored on", "seed", "epochs", "minutes", "mIoU"]
        lines = table(header + classes, rows, "llll" + "r" * (4 + len(classes)))
    print("\n".join(lines))


if __name__ == "__main__":
    main()
