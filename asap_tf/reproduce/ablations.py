"""Trainings of Tables II and III: every variant of the network under one budget, several seeds."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from asap_tf.benchmark.machine import this_machine
from asap_tf.core.errors import AsapError, UsageError
from asap_tf.data import open_dataset
from asap_tf.data.check import CheckReport
from asap_tf.streets import write_streets
from asap_tf.training import check_data
from asap_tf.training.recipe import Recipe, load_recipe
from asap_tf.training.run_folder import RunFolder

RECIPES = {None: "ablation_streets", "camvid": "ablation_camvid"}
"""Recipe of the budget by kind of dataset; None for rendered Streets."""

LARGE = "ablation_cityscapes"
"""Recipe of the budget for all other kinds."""

STREETS = {"train": 800, "val": 100}
STREETS_SIZE = (96, 192)


@dataclass(frozen=True)
class Variant:
    """ASAP with one module replaced.

    Attributes:
        name: Name in folders and JSON.
        title: Name in the paper's tables.
        options: Fields of the recipe's `model` section that differ from ASAP's.
    """

    name: str
    title: str
    options: tuple[tuple[str, Any], ...] = ()


ASAP = Variant("asap", "FFDN, vertical (ASAP)")
FUSIONS = (
    Variant("norms_none", "no norm", (("fusion", "none"),)),
    Variant("norms_ln", "only LN", (("fusion", "ln"),)),
    Variant("norms_in", "only IN", (("fusion", "in"),)),
    ASAP,
)
MODULES = (
    ASAP,
    Variant("fusion_general", "General fusion", (("fusion", "general"),)),
    Variant("attention_none", "no attention", (("attention", "none"),)),
    Variant("attention_horizontal", "horizontal attention", (("attention", "horizontal"),)),
    Variant("attention_full", "conventional attention", (("attention", "full"),)),
)


@dataclass(frozen=True)
class Row:
    """Result of one training.

    Attributes:
        variant: Name of the variant.
        seed: Seed of weights, order and augmentation.
        miou: mIoU on the validation split, 0..1.
        iou: IoU by class name, 0..1; None for a class that is in no frame.
        steps: Number of training steps.
        minutes: Duration of the training.
    """

    variant: str
    seed: int
    miou: float
    iou: dict[str, float | None]
    steps: int
    minutes: float


def train_rows(
    variants: Sequence[Variant],
    seeds: int,
    recipe: Recipe,
    folder: Path,
    on_row: Callable[[Row], None],
) -> None:
    """Trains every variant with every seed; finished trainings of an earlier call are kept.

    Seeds are the outer loop, so that all variants have about the same number at any moment.

    Args:
        variants: Rows of a table.
        seeds: Number of seeds: 0, 1, ...
        recipe: Budget of all rows, with `data.root` given.
        folder: Folder with a run folder for each row; unfinished runs are resumed.
        on_row: Function called with each row as soon as it is scored.

    Raises:
        UsageError: if `folder` holds a row by another recipe.
        AsapError: if the data is damaged, or a training fails.
    """
    reports = None
    for seed, variant in itertools.product(range(seeds), variants):
        run = RunFolder(folder / f"{variant.name}-{seed}")
        wanted = row_recipe(recipe, variant, seed)
        if not run.is_free and run.recipe != wanted:
            raise UsageError(
                f"{run.path}: trained by another recipe or on other data; give another `out`"
            )
        if not run.metrics.exists():
            reports = reports or prepare(recipe)
            train(run, wanted, reports)
        on_row(read_row(run, variant, seed))


def finished_rows(variants: Sequence[Variant], folder: Path) -> list[Row]:
    """Rows that have been trained into a folder so far, of all seeds.

    Raises:
        AsapError: if the metrics of a row are damaged.
    """
    rows = []
    for variant in variants:
        for run in sorted(folder.glob(f"{variant.name}-*")):
            seed = re.fullmatch(rf"{variant.name}-(\d+)", run.name)
            if seed and RunFolder(run).metrics.exists():
                rows.append(read_row(RunFolder(run), variant, int(seed[1])))
    return rows


def budget(
    data: Path | None, overrides: Sequence[str], out: Path | None, recipe: str | None = None
) -> tuple[Recipe, Path]:
    """Recipe and folder of all rows; without data, Streets will be rendered into the folder.

    Args:
        data: Folder of the dataset; None for Streets.
        overrides: Changes of the recipe.
        out: The folder; None for one in `runs/` by the recipe's name.
        recipe: Name or file of a recipe for one dataset; None for that of the data's kind.

    Raises:
        UsageError: if the data is of no known layout, there is no such recipe or no data for it,
            an override is wrong, or `out` is a file.
    """
    if recipe and data is None:
        raise UsageError(f"recipe {recipe}: give the dataset that it learns as well, by --data")
    kind = open_dataset(data).kind if data else None
    name = recipe or RECIPES.get(kind, LARGE)
    folder = out or Path("runs", Path(name).stem)
    if folder.is_file():
        raise UsageError(f"{folder}: is a file; `out` is the folder of the trainings")
    root = (data or folder / "streets").resolve()
    return load_recipe(name, [f"data.root={root}", *overrides]), folder


def prepare(recipe: Recipe) -> list[CheckReport]:
    """Checks the data of all rows; renders Streets first where they are missing."""
    root = Path(recipe.data[0].root or "")
    if recipe.name == RECIPES[None] and not root.exists():
        write_streets(root, **STREETS, seed=0, size=STREETS_SIZE)
    return check_data(recipe)


def row_recipe(recipe: Recipe, variant: Variant, seed: int) -> Recipe:
    """The budget's recipe with a variant's options and a seed."""
    return recipe.model_copy(
        update={
            "name": f"{recipe.name} {variant.name} {seed}",
            "model": recipe.model.model_copy(update=dict(variant.options)),
            "train": recipe.train.model_copy(update={"seed": seed}),
        }
    )


def train(run_folder: RunFolder, recipe: Recipe, reports: Sequence[CheckReport]) -> None:
    """Trains one row and scores it."""
    from asap_tf.core.keras_backend import import_keras

    import_keras()
    import keras

    from asap_tf.training.results import write_results
    from asap_tf.training.trainer import Trainer

    keras.utils.clear_session()
    Trainer(run_folder, recipe, reports).train()
    write_results(run_folder, [report.dataset for report in reports])


def read_row(run_folder: RunFolder, variant: Variant, seed: int) -> Row:
    """The scores of a finished run.

    Raises:
        AsapError: if its metrics are damaged.
    """
    file = run_folder.metrics
    try:
        metrics = json.loads(file.read_text(encoding="utf-8"))
        return Row(
            variant.name,
            seed,
            float(metrics["miou"]),
            {name: None if x is None else float(x) for name, x in metrics["iou"].items()},
            int(metrics["step"]),
            float(metrics["training_minutes"]),
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise AsapError(f"{file}: damaged; remove it, and start again to score the row") from error


def to_dict(recipe: Recipe, rows: Sequence[Row]) -> dict[str, Any]:
    """Trainings as plain data for JSON, with the machine that this runs on."""
    return {
        "machine": asdict(this_machine()),
        "recipe": recipe.model_dump(mode="json", exclude={"data": {"__all__": {"root"}}}),
        "rows": [asdict(row) for row in rows],
    }
