"""LabelMe's annotations, converted, against masks of scenes."""

from __future__ import annotations

import json

import cv2
import numpy as np

from asap_tf.data.convert import convert
from support.scenes import NAMES, SIZE, agreement, contours


def test_labelme(source):
    for name, labels in source.frames.items():
        shapes = [
            {"label": "background" if is_hole else NAMES[c], "points": points.tolist()}
            for c in range(3)
            for points, is_hole in contours(labels == c)
        ]
        # A hole's outline is that of the pixels around it.
        for shape in (s for s in shapes if s["label"] == "background"):
            hole = np.zeros(SIZE, np.uint8)
            cv2.fillPoly(hole, [np.array(shape["points"])], 1)
            cv2.polylines(hole, [np.array(shape["points"])], True, 0)
            shape["points"] = contours(hole)[0][0].tolist()
        shapes.append({"label": "sign", "points": [[3, 3]], "shape_type": "point"})
        content = {"imagePath": name.rpartition("/")[2], "imageData": None, "shapes": shapes}
        file = (source.folder / name).with_suffix(".json")
        file.write_text(json.dumps({**content, "imageHeight": SIZE[0], "imageWidth": SIZE[1]}))
    made = convert(source.folder, source.out, "labelme", val=0.5)
    assert len(made.unmapped) == 4 and all("sign: point" in line for line in made.unmapped)
    assert sum(made.counts.values()) == 4
    assert agreement(source) >= 0.995
