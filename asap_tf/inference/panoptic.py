"""Labels of images in COCO's panoptic format: a PNG of segments for each, and one JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from asap_tf.core.files import written_whole
from asap_tf.core.labels import IGNORE_LABEL, LabelClass
from asap_tf.inference.inputs import InputFile
from asap_tf.inference.report import Report

if TYPE_CHECKING:
    from asap_tf.runtime import Segmenter

FILE_NAME = "panoptic.json"


@dataclass
class PanopticReport(Report):
    """What is found in the images of one call, in COCO's panoptic format.

    Attributes:
        out: Folder of the images' results.
    """

    out: Path = field(kw_only=True)
    _classes: Sequence[LabelClass] = ()

    def add(
        self,
        source: Path,
        segmenter: Segmenter,
        labels: np.ndarray,
        seconds: float,
        has_unknown: bool = False,
    ) -> None:
        """Adds an image. Threads may call it at once."""
        self._classes = segmenter.classes
        segments = []
        for train_id in np.unique(labels[labels != IGNORE_LABEL]).tolist():
            mask = labels == train_id
            place = {"area": int(mask.sum()), "bbox": cv2.boundingRect(mask.view(np.uint8))}
            ids = {"id": train_id + 1, "category_id": train_id + 1}
            segments.append({**ids, **place, "iscrowd": 0})
        self._found[source] = {"size": labels.shape, "segments": segments}

    def write(self, sources: Sequence[InputFile]) -> None:
        """Writes what was found, in the order of the inputs, if it was anything.

        Raises:
            AsapError: if the file cannot be written.
        """
        images: list[dict[str, Any]] = []
        annotations: list[dict[str, Any]] = []
        for source in sources:
            if (found := self._found.get(source.path)) is None:
                continue
            png = source.target.relative_to(self.out)
            name = png.with_name(source.path.name).as_posix()
            height, width = found["size"]
            number = len(images) + 1
            images.append({"id": number, "file_name": name, "height": height, "width": width})
            segments = {"file_name": png.as_posix(), "segments_info": found["segments"]}
            annotations.append({"image_id": number, **segments})
        if not images:
            return
        categories = [
            # A class is one segment, whether its things can be counted or not: COCO's stuff.
            {"id": i, "name": c.name, "supercategory": c.category, "isthing": 0, "color": c.color}
            for i, c in enumerate(self._classes, 1)
        ]
        content = {"images": images, "annotations": annotations, "categories": categories}
        with written_whole(self.file) as aside:
            aside.write_text(json.dumps(content, allow_nan=False), encoding="utf-8")
