"""What a network finds in images, as one JSON file."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from asap_tf.core.errors import UsageError
from asap_tf.core.files import written_whole
from asap_tf.core.labels import IGNORE_LABEL
from asap_tf.inference.inputs import InputFile
from asap_tf.inference.polygons import polygons
from asap_tf.inference.view import View

if TYPE_CHECKING:
    from asap_tf.runtime import Segmenter


def describe(
    name: str,
    model: str,
    segmenter: Segmenter,
    labels: np.ndarray,
    seconds: float,
    with_polygons: bool = False,
    has_unknown: bool = False,
) -> dict[str, Any]:
    """What is found in an image, as JSON can hold it.

    Args:
        name: The image's.
        model: What the model is called.
        segmenter: What has labeled it.
        labels: Train ids, uint8 `(H, W)`.
        seconds: What that took.
        with_polygons: Whether to add the classes' regions.
        has_unknown: Whether pixels may be 255, unknown.
    """
    counts = np.bincount(labels.ravel(), minlength=256).tolist()
    labeled = labels.size - counts[IGNORE_LABEL]
    names = [label.name for label in segmenter.classes]
    entry: dict[str, Any] = {
        "path": name,
        "size": labels.shape,
        "model": model,
        "network_size": segmenter.network_size((labels.shape[0], labels.shape[1])),
        "seconds": round(seconds, 6),
        "shares": {
            name: round(count / max(1, labeled), 6)
            for name, count in zip(names, counts, strict=False)
        },
    }
    if has_unknown:
        entry["unknown"] = round(counts[IGNORE_LABEL] / labels.size, 6)
    if with_polygons:
        entry["polygons"] = [
            {"class": names[train_id], "rings": [ring.tolist() for ring in rings]}
            for train_id, rings in polygons(labels)
        ]
    return entry


@dataclass
class Report:
    """What is found in the images of one call, and the file for it.

    Attributes:
        file: JSON file, written once all images are labeled.
        model: What the model is called in it.
        polygons: Whether it holds the classes' regions.
    """

    file: Path
    model: str
    polygons: bool = False
    _found: dict[Path, dict[str, Any]] = field(default_factory=dict)

    def check(self, sources: Sequence[InputFile], view: View) -> None:
        """Raises a `UsageError` if this is not a report of these inputs."""
        if not view.has_labels:
            raise UsageError(f"`json`: tells of labels; leave it out for `mode` {view.mode}")
        if self.file.is_dir():
            raise UsageError(f"`json` {self.file}: is a folder; name a file")
        for source in sources:
            if source.is_video:
                raise UsageError(f"{source.path}: `json` is for images, not for videos")
            if self.file.resolve() in (source.path.resolve(), source.target.resolve()):
                raise UsageError(f"`json` {self.file}: an input or its result; name another file")

    def add(
        self,
        source: Path,
        segmenter: Segmenter,
        labels: np.ndarray,
        seconds: float,
        has_unknown: bool = False,
    ) -> None:
        """Adds an image, uint8 labels `(H, W)`. Threads may call it at once."""
        self._found[source] = self._entry(source, segmenter, labels, seconds, has_unknown)

    def write(self, sources: Sequence[InputFile]) -> None:
        """Writes what was found, in the order of the inputs, if it was anything.

        Raises:
            AsapError: if the file cannot be written.
        """
        found = [
            (source, self._found[source.path]) for source in sources if source.path in self._found
        ]
        if not found:
            return
        text = self._text(found)
        with written_whole(self.file) as aside:
            aside.write_text(text, encoding="utf-8")

    def _entry(
        self,
        source: Path,
        segmenter: Segmenter,
        labels: np.ndarray,
        seconds: float,
        has_unknown: bool,
    ) -> dict[str, Any]:
        """What is kept of an image."""
        return describe(
            str(source), self.model, segmenter, labels, seconds, self.polygons, has_unknown
        )

    def _text(self, found: Sequence[tuple[InputFile, dict[str, Any]]]) -> str:
        """The file's content, of inputs and their entries."""
        # A line for each image: polygons have thousands of numbers.
        lines = ",\n".join(json.dumps(entry, allow_nan=False) for _, entry in found)
        return f'{{"images": [\n{lines}\n]}}\n'
