"""Segmentation scores from a confusion matrix, equal to the official Cityscapes script's.

Counting and scoring are separate: matrices are integers that add up over batches and frames,
and `Scores` are computed once from the sum.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from asap_tf.core.labels import IGNORE_LABEL, LabelClass, LabelTable


def confusion_matrix(
    truth: np.ndarray, prediction: np.ndarray, num_classes: int, num_predicted: int | None = None
) -> np.ndarray:
    """Counts pixels by true and predicted class.

    Pixels whose truth is 255 (`IGNORE_LABEL`) are not counted, whatever was predicted there.

    Args:
        truth: Train ids, uint8, any shape: 0..num_classes - 1, or 255 where ignored.
        prediction: Train ids, uint8, the shape of `truth`. Must be a class wherever the truth is.
        num_classes: Classes of the truth, 1..255.
        num_predicted: Classes of the prediction, 1..255; None for those of the truth.

    Returns:
        int64 `(num_classes, num_predicted)`, rows truth, columns prediction. The sum of the
        matrices of several frames is the matrix of all of them.

    Raises:
        ValueError: if shapes or dtypes differ from the above, or a pixel has an id out of range.

    Examples:
        >>> truth = np.array([0, 0, 1, 255], np.uint8)
        >>> confusion_matrix(truth, np.array([0, 1, 1, 0], np.uint8), num_classes=2)
        array([[1, 1],
               [0, 1]])
    """
    if truth.shape != prediction.shape:
        raise ValueError(f"truth has shape {truth.shape}, prediction has {prediction.shape}")
    if truth.dtype != np.uint8 or prediction.dtype != np.uint8:
        raise ValueError(f"uint8 train ids are needed, not {truth.dtype} and {prediction.dtype}")
    num_predicted = num_predicted or num_classes
    if not (1 <= num_classes <= IGNORE_LABEL and 1 <= num_predicted <= IGNORE_LABEL):
        raise ValueError(f"num_classes={num_classes} is not within 1..{IGNORE_LABEL}")
    # Every possible pair of bytes is counted: one pass, and ids out of range show in the table.
    codes = truth.astype(np.uint16) << 8 | prediction
    counts = np.bincount(codes.ravel(), minlength=1 << 16).reshape(256, 256).astype(np.int64)
    counts[IGNORE_LABEL] = 0
    for name, totals, number in (
        ("truth", counts.sum(axis=1), num_classes),
        ("prediction", counts.sum(axis=0), num_predicted),
    ):
        if totals[number:].any():
            ids = number + np.flatnonzero(totals[number:])
            raise ValueError(f"{name} holds ids {ids.tolist()}, but there are {number} classes")
    return counts[:num_classes, :num_predicted].copy()


def in_classes_of_data(matrix: np.ndarray, table: LabelTable) -> np.ndarray:
    """A confusion matrix in the classes of a dataset, of a network with others.

    A prediction is right if the network's class is one that the true class may be. Else it counts
    for the one class of the dataset to which it belongs, or, where there is none or several, only
    against the true one. Classes that the table leaves out are not counted.

    Args:
        matrix: Integers `(C, M)`, rows true classes of the dataset, columns the network's.
        table: Table of the C and M classes.

    Returns:
        int64 `(C, C)`; with a column more, of what counts for no class, where there may be such.

    Examples:
        >>> table = relate(camvid.CLASSES, cityscapes.CLASSES, load_table("camvid"))
        >>> in_classes_of_data(confusion_matrix(truth, prediction, 11, 19), table).shape
        (11, 11)
    """
    count, meant = len(table.classes), _meant(table)
    result = np.zeros((count, count + 1), np.int64)
    for true, group in enumerate(table.groups):
        if group:
            np.add.at(result[true], meant[true], matrix[true])
    return result if None in table.owners else result[:, :count]


def labels_of_data(
    truth: np.ndarray, prediction: np.ndarray, table: LabelTable
) -> tuple[np.ndarray, np.ndarray]:
    """Label maps in the classes of a dataset, of a network with others; see `in_classes_of_data`.

    Args:
        truth: Train ids of the dataset, uint8 `(H, W)`, `IGNORE_LABEL` where ignored.
        prediction: Train ids of the network, uint8 `(H, W)`.
        table: Table of the classes.

    Returns:
        Both as train ids of the dataset, uint8 `(H, W)`: the truth ignored where its class is left
        out, the prediction the number of classes where it is none of them.
    """
    if table.is_identity:
        return truth, prediction
    meant = np.full((256, 256), len(table.classes), np.uint8)
    meant[: len(table.classes), : len(table.targets)] = _meant(table)
    compared = [i for i, group in enumerate(table.groups) if group]
    counted = np.where(np.isin(truth, compared), truth, np.uint8(IGNORE_LABEL))
    return counted, meant[truth, prediction]


def _meant(table: LabelTable) -> np.ndarray:
    """What each class of the network counts as, by the true class, `(C, M)`; C is none."""
    count = len(table.classes)
    owners = [count if owner is None else owner for owner in table.owners]
    meant = np.tile(owners, (count, 1))
    for true, group in enumerate(table.groups):
        meant[true, list(group)] = true
    return meant


@dataclass(frozen=True, eq=False)
class Scores:
    """Scores of a confusion matrix, all as shares 0..1; nan where undefined.

    Equal to `cityscapesscripts.evaluation.evalPixelLevelSemanticLabeling` on the same predictions:

    * IoU = TP / (TP + FP + FN). A class that is predicted somewhere but absent from the truth
      scores 0; one that is in neither scores nan and does not count in the mean.
    * A category is scored as if its classes were one: confusions among them count as right.
      The official script works on a matrix over all label ids, void ones included, but uses
      only the rows of labels that are evaluated, which are the train ids; a column of another
      label only ever adds misses to those rows. Summing blocks of the matrix over train ids
      thus gives the same numbers, provided that pixels of ignored truth are not counted and
      that nothing but classes is predicted: `confusion_matrix` sees to both. Void is therefore
      no category, and a label such as "parking", ignored although its category "flat" is not,
      counts neither for that category nor against it.

    Attributes:
        classes: Classes in the order of their train ids.
        iou: Intersection over union per class, float64 `(num_classes,)`.
        accuracy: Share of each class's true pixels that were found (recall), float64
            `(num_classes,)`; nan for classes absent from the truth.
        miou: Mean of `iou` without its nan.
        category_iou: IoU by category name, in the order in which `classes` mentions them.
        category_miou: Mean of `category_iou` without its nan.
        pixel_accuracy: Share of all counted pixels that were right.
    """

    classes: tuple[LabelClass, ...]
    iou: np.ndarray
    accuracy: np.ndarray
    miou: float
    category_iou: dict[str, float]
    category_miou: float
    pixel_accuracy: float

    @classmethod
    def from_confusion(cls, matrix: np.ndarray, classes: Sequence[LabelClass]) -> Scores:
        """Scores a confusion matrix.

        Args:
            matrix: Confusion matrix, integers `(C, C)`, rows truth, columns prediction; or
                `(C, C + 1)`, with a column of predictions that are none of the classes.
            classes: The C classes in the order of their train ids.

        Raises:
            ValueError: if the matrix is of another shape.
        """
        count = len(classes)
        if matrix.shape not in ((count, count), (count, count + 1)):
            raise ValueError(f"matrix of shape {matrix.shape} for {count} classes")
        categories = list(dict.fromkeys(c.category for c in classes))
        member = np.array([[c.category == name for c in classes] for name in categories], np.int64)
        iou = _iou(matrix)
        predicted = np.hstack([matrix[:, :count] @ member.T, matrix[:, count:]])
        category_iou = _iou(member @ predicted)
        right = np.diag(matrix)
        return cls(
            classes=tuple(classes),
            iou=iou,
            accuracy=ratio(right, matrix.sum(axis=1)),
            miou=mean_of_defined(iou),
            category_iou=dict(zip(categories, category_iou.tolist(), strict=True)),
            category_miou=mean_of_defined(category_iou),
            pixel_accuracy=float(ratio(right.sum(), matrix.sum())),
        )

    def to_dict(self) -> dict[str, object]:
        """The scores as plain data for JSON: shares 0..1, `None` where undefined."""
        names = [c.name for c in self.classes]
        return {
            "miou": plain(self.miou),
            "category_miou": plain(self.category_miou),
            "pixel_accuracy": plain(self.pixel_accuracy),
            "iou": dict(zip(names, map(plain, self.iou), strict=True)),
            "accuracy": dict(zip(names, map(plain, self.accuracy), strict=True)),
            "category_iou": {name: plain(value) for name, value in self.category_iou.items()},
        }

    def table(self) -> str:
        """The scores as text, in percent; `-` where undefined. Absent classes are told below it."""
        rows = [("class", "IoU %", "accuracy %")]
        rows += [
            (c.name, percent(iou), percent(accuracy))
            for c, iou, accuracy in zip(self.classes, self.iou, self.accuracy, strict=True)
        ]
        rows += [("", "", ""), ("category", "IoU %", "")]
        rows += [(name, percent(value), "") for name, value in self.category_iou.items()]
        rows += [
            ("", "", ""),
            ("mIoU", percent(self.miou), ""),
            ("category mIoU", percent(self.category_miou), ""),
            ("pixel accuracy", "", percent(self.pixel_accuracy)),
        ]
        width = max(len(name) for name, _, _ in rows)
        lines = [f"{a:<{width}}  {b:>6}  {c:>10}".rstrip() for a, b, c in rows]
        absent = np.isnan(self.accuracy)
        for what, which in (
            ("counted as 0, since it is predicted", absent & ~np.isnan(self.iou)),
            ("not counted", absent & np.isnan(self.iou)),
        ):
            names = [c.name for c, is_so in zip(self.classes, which, strict=True) if is_so]
            if names:
                lines.append(f"in no mask, {what}: {', '.join(names)}")
        return "\n".join(lines)


def ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """`part / whole`, nan where the whole is 0."""
    return np.where(whole > 0, part / np.maximum(whole, 1), np.nan)


def _iou(matrix: np.ndarray) -> np.ndarray:
    """Intersection over union per row of a confusion matrix."""
    right = np.diag(matrix)
    return ratio(right, matrix.sum(axis=0)[: len(matrix)] + matrix.sum(axis=1) - right)


def mean_of_defined(values: np.ndarray) -> float:
    """Mean of the defined values; nan if there is none."""
    defined = values[~np.isnan(values)]
    return float(defined.mean()) if defined.size else float("nan")


def plain(value: float) -> float | None:
    """`value` for JSON, which has no nan."""
    return None if np.isnan(value) else float(value)


def percent(value: float) -> str:
    """`value` for a table; `-` for nan."""
    return "-" if np.isnan(value) else f"{100 * value:.2f}"


def aligned(rows: Sequence[Sequence[str]], cell: int) -> str:
    """Rows as lines of text: the first cells to the left, all others to the right, `cell` wide."""
    width = max(len(row[0]) for row in rows)
    return "\n".join(
        (f"{first:<{width}}" + "".join(f"  {text:>{cell}}" for text in cells)).rstrip()
        for first, *cells in rows
    )
