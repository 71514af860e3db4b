"""Label tables: which classes of a network a class of a dataset may be, as YAML.

    sky: sky                                    # a class of the dataset: one of the network
    vehicle: [car, truck, bus, motorcycle]      # or several: a pixel is one of these

Classes of the dataset without an entry are neither learned nor scored.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from asap_tf.core.errors import UsageError, nearest, shown
from asap_tf.core.labels import IGNORE_LABEL, LabelTable
from asap_tf.core.parsing import quoted, read_yaml

Names = dict[str, tuple[str, ...]]

_SHIPPED = {file.stem: file for file in sorted(Path(__file__).with_name("tables").glob("*.yaml"))}


def load_table(table: str | Path) -> Names:
    """Reads a label table.

    Args:
        table: A YAML file, or the name of a table that ships with asap-tf: `camvid`, `idd_lite`,
            `bdd100k`, `cityscapes_ids` or `cityscapes_categories`.

    Returns:
        Names of the network's classes by the name of the dataset's.

    Raises:
        UsageError: if there is no such table, or it is not as at the head of this module.

    Examples:
        >>> load_table("camvid")["bicyclist"]
        ('rider', 'bicycle', 'motorcycle')
    """
    file = _SHIPPED.get(str(table), Path(table))
    if not os.path.isfile(file):
        raise UsageError(f"{shown(table, 200)}: no such label table; {nearest(table, _SHIPPED)}")
    try:
        content = read_yaml(file)
    except (OSError, ValueError) as error:
        raise UsageError(f"{file}: cannot be read as YAML: {shown(error)}") from error
    if not isinstance(content, dict) or not content:
        raise UsageError(f"{file}: a label table maps names of classes to names of classes")
    names = {}
    for name, group in content.items():
        group = group if isinstance(group, list) else [group]
        if not all(isinstance(text, str) for text in (name, *group)):
            raise UsageError(f"{file}: {name}={quoted(group)}: want a name, or a list of names")
        names[name] = tuple(group)
    return names


def group_labels(
    tables: Sequence[LabelTable],
) -> tuple[tuple[tuple[int, ...], ...], list[np.ndarray]]:
    """Labels by which one network can learn from the masks of several datasets.

    Args:
        tables: Tables of the datasets, of the same network.

    Returns:
        The groups of two or more of the network's classes, of which the i-th has the label
        `num_classes + i`; and for each table the labels by the dataset's train ids, uint8
        `(256,)`, 255 where a class is left out.

    Raises:
        UsageError: if there are too many groups for 8 bits.
    """
    several = dict.fromkeys(g for table in tables for g in table.groups if len(g) > 1)
    count = len(tables[0].targets)
    if count + len(several) > IGNORE_LABEL:
        raise UsageError(
            f"{count} classes and {len(several)} groups of them: at most {IGNORE_LABEL} in all"
        )
    label_of = {(i,): i for i in range(count)} | {g: count + i for i, g in enumerate(several)}
    labels = []
    for table in tables:
        row = np.full(256, IGNORE_LABEL, np.uint8)
        row[: len(table.groups)] = [label_of.get(group, IGNORE_LABEL) for group in table.groups]
        labels.append(row)
    return tuple(several), labels
