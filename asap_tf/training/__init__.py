"""Training: a recipe and a dataset in, a run folder with a scored model out."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

from asap_tf.core.distributed import Hosts
from asap_tf.core.errors import UsageError
from asap_tf.data import open_dataset
from asap_tf.data.check import CheckReport, checked
from asap_tf.data.dataset import Dataset, Pair
from asap_tf.data.pairing import FRAME_ENDINGS, find_files, match
from asap_tf.inference.evaluate import require_masks
from asap_tf.inference.sharded_check import sharded
from asap_tf.training.recipe import Recipe
from asap_tf.training.sections import Data

LOGGER = logging.getLogger("asap_tf")

UNLABELED = "frames without masks"
"""The split of `distill.frames`."""


def check_data(recipe: Recipe, hosts: Hosts | None = None) -> list[CheckReport]:
    """Opens a recipe's datasets and reads every file that a training by it would need.

    Args:
        recipe: Recipe with the root of each dataset given.
        hosts: Hosts that read a part of the files each; None for this one alone.

    Returns:
        A report for each dataset, which holds it.

    Raises:
        UsageError: if there is no such dataset, a split is missing or empty, or the first has a
            label table.
        AsapError: if a file cannot be used, unless `data.skip_bad` skips it.
    """
    reports = []
    if recipe.data[0].table is not None:
        raise UsageError("data.0.table: the first dataset's own classes are learned: no table")
    for index, data in enumerate(recipe.data):
        dataset, splits = open_data(data), [data.train_split, data.val_split]
        if index == 0 and recipe.distill is not None and recipe.distill.frames:
            pairs = tuple(p for folder in recipe.distill.frames for p in frames_alone(Path(folder)))
            dataset = replace(dataset, splits={**dataset.splits, UNLABELED: pairs})
            splits.append(UNLABELED)
        report = checked(dataset, splits, data.skip_bad, sharded(hosts or Hosts()))
        for warning in report.warnings:
            LOGGER.warning("%s: %s", data.root, warning)
        reports.append(report)
    return reports


def open_data(data: Data) -> Dataset:
    """Opens one dataset of a recipe, of which a held-out sequence is taken from training.

    Raises:
        UsageError: if there is no such dataset, or a split is missing, empty or without masks.
    """
    if data.root is None:
        raise UsageError("no dataset: give `data`, or set data.root in the recipe")
    dataset = open_dataset(data.root, data.kind, data.annotations)
    if data.holdout is not None:
        dataset = dataset.holdout(data.holdout, data.train_split, data.val_split)
    for split in (data.train_split, data.val_split):
        require_masks(dataset, split)
    return dataset


def frames_alone(folder: Path) -> tuple[Pair, ...]:
    """The frames below a folder, of which no masks are wanted.

    Raises:
        UsageError: if there are none.
    """
    frames, _ = match(find_files(folder, FRAME_ENDINGS), None)
    if not frames:
        raise UsageError(f"distill.frames: no images in {folder}")
    return frames
