"""Labels of images in COCO's panoptic format: a PNG of segments for each, and one JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

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

    def _entry(
        self, source: Path, segmenter: Segmenter, labels: np.ndarray, *_: Any
    ) -> dict[str, Any]:
        self._classes = segmenter.classes
        segments = []
        for train_id in np.unique(labels[labels != IGNORE_LABEL]).tolist():
            mask = labels == train_id
            place = {"area": int(mask.sum()), "bbox": cv2.boundingRect(mask.view(np.uint8))}
            ids = {"id": train_id + 1, "category_id": train_id + 1}
            segments.append({**ids, **place, "iscrowd": 0})
        return {"size": labels.shape, "segments": segments}

    def _text(self, found: Sequence[tuple[InputFile, dict[str, Any]]]) -> str:
        images: list[dict[str, Any]] = []
        annotations: list[dict[str, Any]] = []
        for number, (source, entry) in enumerate(found, 1):
            png = source.target.relative_to(self.out)
            name = png.with_name(source.path.name).as_posix()
            height, width = entry["size"]
            images.append({"id": number, "file_name": name, "height": height, "width": width})
            segments = {"file_name": png.as_posix(), "segments_info": entry["segments"]}
            annotations.append({"image_id": number, **segments})
        categories = [
            # A class is one segment, whether its things can be counted or not: COCO's stuff.
            {"id": i, "name": c.name, "supercategory": c.category, "isthing": 0, "color": c.color}
            for i, c in enumerate(self._classes, 1)
        ]
        content = {"images": images, "annotations": annotations, "categories": categories}
        return json.dumps(content, allow_nan=False)
