"""Reads a dataset from end to end and tells everything that is wrong with it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import compress
from pathlib import Path

import numpy as np

from asap_tf.core.errors import AsapError, UsageError, nearest, shown
from asap_tf.core.labels import IGNORE_LABEL
from asap_tf.core.progress import ProgressBar
from asap_tf.data.dataset import Dataset, MaskEncoding, Pair
from asap_tf.data.images import BadFile, check_size, opened, read_image, read_mask

_LOGGER = logging.getLogger("asap_tf")

_UNPAIRED = "no partner: a frame needs one mask of the same name, and a mask one frame"


@dataclass(frozen=True)
class Defect:
    """One file or folder that stands in the way of training or scoring."""

    path: Path
    problem: str


@dataclass(frozen=True)
class CheckReport:
    """What `check_dataset` found.

    Attributes:
        dataset: The dataset that was read.
        pixels: By split, how many pixels of each pair's mask have each train id, and last how many
            are ignored, uint32 `(pairs, num_classes + 1)`; 0 where there is no mask to be read.
        defects: In the order of the splits.
        warnings: What is odd but no defect: classes that never occur, splits without a label.
    """

    dataset: Dataset
    pixels: dict[str, np.ndarray]
    defects: list[Defect]
    warnings: list[str]

    @property
    def counts(self) -> dict[str, int]:
        """Complete pairs, or frames of a split without masks, by split."""
        return {split: len(rows) for split, rows in self.pixels.items()}

    @property
    def class_pixels(self) -> dict[str, np.ndarray]:
        """Pixels of each train id by split, int64 `(num_classes,)`."""
        return {split: total[:-1] for split, total in self._totals.items()}

    @property
    def ignored_pixels(self) -> dict[str, int]:
        """Pixels with the ignore label by split."""
        return {split: int(total[-1]) for split, total in self._totals.items()}

    @property
    def ignored_share(self) -> dict[str, float]:
        """Share of ignored pixels, 0..1, by split; nan for a split without readable masks."""
        return {split: float(shares[-1]) for split, shares in self._shares().items()}

    def require_sound(self) -> None:
        """Refuses a dataset with defects.

        Raises:
            AsapError: with the first of them, if there are any.
        """
        if not self.defects:
            return
        first, *others = self.defects
        more = f" (and {len(others)} more)" if others else ""
        raise AsapError(
            f"{shown(first.path)}: {first.problem}{more}; all of them: asap-tf data check "
            f"{self.dataset.root}"
        )

    def require_labels(self) -> None:
        """Refuses a split that has masks, but in them no pixel to learn from or to score.

        Raises:
            AsapError: naming the first such split.
        """
        for split, pixels in self.class_pixels.items():
            if self.ignored_pixels[split] and not pixels.any():
                raise AsapError(
                    f"{self.dataset.root}: split '{split}' has not one labeled pixel: its masks "
                    "hold ignored values alone; look at what the dataset says of its classes, and "
                    f"at its masks: asap-tf data show {self.dataset.root} --out sheet.png"
                )

    def without_defects(self) -> CheckReport:
        """The report of the dataset without the pairs that have a defect, which stay listed.

        Raises:
            UsageError: if a split that was read loses all its frames.
        """
        bad = {defect.path for defect in self.defects}
        good = {
            split: [p.image not in bad and p.mask not in bad for p in pairs]
            for split, pairs in self.dataset.splits.items()
        }
        splits = {
            split: tuple(compress(pairs, good[split]))
            for split, pairs in self.dataset.splits.items()
        }
        dataset = replace(self.dataset, splits=splits)
        for split in self.pixels:
            dataset.pairs(split)
        pixels = {split: rows[good[split]] for split, rows in self.pixels.items()}
        return replace(self, dataset=dataset, pixels=pixels)

    def summary(self) -> str:
        """The report for a terminal: counts, class shares, and every defect by its path."""
        classes = self.dataset.classes
        shares = self._shares()
        rows = [["", *self.counts], ["frames", *map(str, self.counts.values())]]
        for i, name in enumerate([*(c.name for c in classes), "ignored"]):
            rows.append([name, *(_percent(shares[split][i]) for split in self.counts)])
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = [f"{self.dataset.root}: {self.dataset.kind}, {len(classes)} classes"]
        for head, *cells in rows:
            numbers = [f"{cell:>{w}}" for cell, w in zip(cells, widths[1:], strict=True)]
            lines.append("  ".join([f"{head:<{widths[0]}}", *numbers]))
        lines += [f"warning: {warning}" for warning in self.warnings]
        lines += [f"{shown(defect.path)}: {defect.problem}" for defect in self.defects]
        lines.append(f"{len(self.defects) or 'no'} defect{'' if len(self.defects) == 1 else 's'}")
        return "\n".join(lines)

    def _shares(self) -> dict[str, np.ndarray]:
        """By split, the share of each class, and last that of the ignored pixels."""
        return {
            split: total / total.sum() if total.any() else np.full(len(total), np.nan)
            for split, total in self._totals.items()
        }

    @cached_property
    def _totals(self) -> dict[str, np.ndarray]:
        return {split: rows.sum(axis=0, dtype=np.int64) for split, rows in self.pixels.items()}


def examine_pairs(pairs: Sequence[Pair], dataset: Dataset) -> tuple[np.ndarray, list[Defect]]:
    """Reads frames and masks in parallel.

    Returns:
        Pixels of each pair, as in a `CheckReport`, and the defects in the order of the pairs.
    """
    pixels, defects = np.zeros((len(pairs), len(dataset.classes) + 1), np.uint32), []
    with ThreadPoolExecutor() as pool:
        read = pool.map(lambda pair: _examine(pair, dataset.encoding), pairs)
        for row, (histogram, found) in zip(
            pixels, ProgressBar(read, "check", len(pairs), unit=" frames"), strict=True
        ):
            row[:-1], row[-1] = histogram[: len(row) - 1], histogram[IGNORE_LABEL]
            defects += found
    return pixels, defects


Examine = Callable[[Sequence[Pair], Dataset], tuple[np.ndarray, list[Defect]]]
"""A function as `examine_pairs`."""


def checked(
    dataset: Dataset,
    splits: Sequence[str],
    skip_bad: bool = False,
    examine: Examine = examine_pairs,
    labels: bool = True,
) -> CheckReport:
    """Reads every file of some splits, to use them.

    Args:
        dataset: Holds the splits.
        splits: To read.
        skip_bad: Whether to skip the pairs that have a defect, with a warning for each.
        examine: Reader of a split's pairs; see `check_dataset`.
        labels: Whether what is labeled is of use: splits that have masks then need it.

    Raises:
        UsageError: if there is no such split, or no frame in it.
        AsapError: if there is a defect, and `skip_bad` is not set; if nothing is labeled.
    """
    for split in splits:
        dataset.pairs(split)
    report = check_dataset(dataset, splits, examine)
    if not skip_bad:
        report.require_sound()
    if labels:
        report.require_labels()
    for defect in report.defects:
        _LOGGER.warning("skipped: %s: %s", shown(defect.path), defect.problem)
    if report.defects:
        _LOGGER.warning("bad files skipped: %d", len(report.defects))
    return report.without_defects()


def check_dataset(
    dataset: Dataset, splits: Sequence[str] | None = None, examine: Examine = examine_pairs
) -> CheckReport:
    """Reads every file of a dataset once.

    Args:
        dataset: Dataset to check.
        splits: Splits to read; None for all. Files without a partner belong to no split and are
            reported in any case.
        examine: Reader of a split's pairs; another one where several hosts share them.

    Returns:
        Counts, class shares, and every defect: files that cannot be used, masks that do not fit
        their frames, files without a partner, splits without frames.

    Raises:
        UsageError: if there is no such split.
    """
    splits = list(dataset.splits) if splits is None else list(splits)
    for split in splits:
        if split not in dataset.splits:
            raise UsageError(
                f"{dataset.root} has no split '{split}'; {nearest(split, dataset.splits)}"
            )
    pixels: dict[str, np.ndarray] = {}
    defects: list[Defect] = []
    warnings: list[str] = []
    for split in splits:
        pairs = dataset.splits[split]
        if not pairs:
            defects.append(Defect(dataset.root, f"split '{split}' holds no frames"))
        pixels[split], found = examine(pairs, dataset)
        defects += found
        *occurs, is_ignored = np.any(pixels[split], axis=0).tolist()
        if any(occurs):
            warnings += [
                f"class '{label.name}' never occurs in split '{split}'"
                for label, has_pixels in zip(dataset.classes, occurs, strict=True)
                if not has_pixels
            ]
            _, *others = dataset.classes
            if len(others) == 1 and not occurs[1] and is_ignored:
                warnings.append(
                    f"if 255, which is ignored, stands for '{others[0].name}' in these masks, give "
                    "that class `id: 255` and the dataset `ignore_label: []`"
                )
        elif is_ignored:
            warnings.append(f"split '{split}' has masks, but not one labeled pixel")
        warnings += _palette_warnings(dataset, split)
    defects += [Defect(path, _UNPAIRED) for path in dataset.unpaired]
    return CheckReport(dataset, pixels, defects, warnings)


def _palette_warnings(dataset: Dataset, split: str) -> list[str]:
    """Classes that the first mask of a split, if it has a palette, shows in another's color."""
    mask = next((pair.mask for pair in dataset.splits[split] if pair.mask is not None), None)
    if dataset.encoding.mode != "L" or mask is None:
        return []
    try:
        with opened(mask) as image:
            palette = np.reshape(image.getpalette() or [], (-1, 3)).tolist()
    except BadFile:
        return []
    names = {label.color: label.name for label in dataset.classes}
    shown = {
        label.name: names.get((*palette[label.label_id],))
        for label in dataset.classes
        if 0 <= label.label_id < len(palette)
    }
    return [
        f"{mask.name} shows '{name}' in the color of '{other}': are the ids those of the classes?"
        for name, other in shown.items()
        if other not in (None, name)
    ]


def _examine(pair: Pair, encoding: MaskEncoding) -> tuple[np.ndarray, list[Defect]]:
    """Histogram of a pair's train ids, int64 `(256,)`, and what is wrong with either file."""
    image = mask = None
    defects = []
    try:
        image = read_image(pair.image)
    except BadFile as error:
        defects.append(Defect(error.path, error.problem))
    if pair.mask is not None:
        try:
            mask = read_mask(pair.mask, encoding)
            if image is not None:
                check_size(pair, mask, image)
        except BadFile as error:
            defects.append(Defect(error.path, error.problem))
    histogram = np.zeros(256, np.int64)
    if mask is not None:
        histogram += np.bincount(mask.ravel(), minlength=256)
    return histogram, defects


def _percent(share: float) -> str:
    return "-" if np.isnan(share) else f"{share:.2%}"
