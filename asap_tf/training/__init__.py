"""Training: a recipe and a dataset in, a run folder with a scored model out."""

from __future__ import annotations

from asap_tf.data import open_dataset
from asap_tf.data.check import CheckReport, check_dataset
from asap_tf.errors import UsageError
from asap_tf.recipe import Recipe


def check_data(recipe: Recipe) -> CheckReport:
    """Opens a recipe's dataset and reads every file that a training by it would need.

    Args:
        recipe: With `data.root` given.

    Returns:
        The report, which holds the dataset.

    Raises:
        UsageError: if there is no such dataset, or a split is missing or empty.
        AsapError: if a file cannot be used.
    """
    data = recipe.data
    if data.root is None:
        raise UsageError("no dataset: give --data ROOT (or set data.root in the recipe)")
    dataset = open_dataset(data.root, data.kind, data.annotations)
    splits = (data.train_split, data.val_split)
    for split in splits:
        dataset.pairs(split)
    report = check_dataset(dataset, splits)
    report.require_sound()
    return report
