"""Training: a recipe and a dataset in, a run folder with a scored model out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from asap_tf.data import open_dataset
from asap_tf.data.check import check_dataset
from asap_tf.errors import UsageError

if TYPE_CHECKING:
    from asap_tf.data.dataset import Dataset
    from asap_tf.recipe import Recipe
    from asap_tf.training.run_folder import RunFolder


def train(run: RunFolder, recipe: Recipe) -> Dataset:
    """Trains by a recipe, from the beginning or from the last checkpoint in the run's folder.

    Args:
        run: A new folder, or that of an interrupted run.
        recipe: With `data.root` given.

    Returns:
        The recipe's dataset, every file of which was read before the first step.

    Raises:
        UsageError: if recipe, dataset and weights do not fit together.
        AsapError: if the dataset has defects or the training cannot go on; see `Trainer`.

    Example:
        >>> recipe = load_recipe("camvid_resnet18", ["data.root=CamVid"])
        >>> train(RunFolder(Path("runs/camvid")), recipe)
    """
    data = recipe.data
    if data.root is None:
        raise UsageError("no dataset: give --data ROOT (or set data.root in the recipe)")
    dataset = open_dataset(data.root, data.kind, data.annotations)
    for split in (data.train_split, data.val_split):
        dataset.pairs(split)
    report = check_dataset(dataset, (data.train_split, data.val_split))

    # Only now what takes seconds to import: a wrong path should not have to wait for it.
    from asap_tf.training.trainer import Trainer

    Trainer(run, recipe, dataset, report).train()
    return dataset
