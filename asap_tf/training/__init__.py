"""Training: a recipe and a dataset in, a run folder with a scored model out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from asap_tf.core.distributed import Hosts
from asap_tf.core.errors import UsageError
from asap_tf.data import open_dataset
from asap_tf.data.check import CheckReport, checked
from asap_tf.data.dataset import Pair
from asap_tf.data.pairing import FRAME_ENDINGS, find_files, match
from asap_tf.inference.evaluate import require_masks
from asap_tf.inference.sharded_check import sharded
from asap_tf.training.recipe import Recipe

UNLABELED = "frames without masks"
"""The split of `distill.frames`."""


def check_data(recipe: Recipe, hosts: Hosts | None = None) -> CheckReport:
    """Opens a recipe's dataset and reads every file that a training by it would need.

    Args:
        recipe: Recipe with `data.root` given.
        hosts: Hosts that read a part of the files each; None for this one alone.

    Returns:
        The report, which holds the dataset.

    Raises:
        UsageError: if there is no such dataset, or a split is missing or empty.
        AsapError: if a file cannot be used, unless `data.skip_bad` skips it.
    """
    data = recipe.data
    if data.root is None:
        raise UsageError("no dataset: give `data`, or set data.root in the recipe")
    dataset = open_dataset(data.root, data.kind, data.annotations)
    splits = [data.train_split, data.val_split]
    for split in splits:
        require_masks(dataset, split)
    if data.holdout is not None:
        dataset = dataset.holdout(data.holdout, *splits)
    if recipe.distill is not None and recipe.distill.frames:
        pairs = tuple(p for folder in recipe.distill.frames for p in frames_alone(Path(folder)))
        dataset = replace(dataset, splits={**dataset.splits, UNLABELED: pairs})
        splits.append(UNLABELED)
    return checked(dataset, splits, data.skip_bad, sharded(hosts or Hosts()))


def frames_alone(folder: Path) -> tuple[Pair, ...]:
    """The frames below a folder, of which no masks are wanted.

    Raises:
        UsageError: if there are none.
    """
    frames, _ = match(find_files(folder, FRAME_ENDINGS), None)
    if not frames:
        raise UsageError(f"distill.frames: no images in {folder}")
    return frames
