"""CVAT's annotations, converted, against masks of scenes."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from matplotlib.path import Path as Outline
from PIL import Image

from asap_tf.core.errors import UsageError
from asap_tf.data import open_dataset
from asap_tf.data.convert import convert
from asap_tf.data.images import read_pair
from support.scenes import NAMES, SIZE, agreement, frame, runs


def test_cvat_masks_and_boxes(source):
    images = []
    for i, (name, labels) in enumerate(source.frames.items()):
        shapes = []
        for c in (0, 1):
            rows, columns = np.nonzero(labels == c)
            top, left = rows.min(), columns.min()
            box = (labels == c)[top : rows.max() + 1, left : columns.max() + 1]
            lengths = ", ".join(map(str, runs(box.ravel())))
            place = f'left="{left}" top="{top}" width="{box.shape[1]}" height="{box.shape[0]}"'
            shapes.append(f'<mask label="{NAMES[c]}" rle="{lengths}" {place} z_order="1"/>')
        signs = cv2.connectedComponentsWithStats((labels == 2).astype(np.uint8))[2][1:]
        shapes += [
            f'<box label="sign" xtl="{x}" ytl="{y}" xbr="{x + w}" ybr="{y + h}" z_order="0"/>'
            for x, y, w, h, area in signs
            if area == w * h
        ]
        assert len(signs)
        attributes = f'id="{i}" name="{name}" width="{SIZE[1]}" height="{SIZE[0]}"'
        images.append(f'<image {attributes} subset="Train">{"".join(shapes)}</image>')
    (source.folder / "annotations.xml").write_text(f"<annotations>{''.join(images)}</annotations>")
    made = convert(source.folder, source.out, "cvat", val=0)
    assert made.counts == {"train": 4} and not made.unmapped
    assert agreement(source) >= 0.995


def test_cvat_polygons_are_the_pixels_whose_centers_they_hold(tmp_path):
    corners = np.array([[-9.3, 99.1], [45.7, 12.2], [70.4, 40.9], [131.5, 70.3], [30.2, 88.8]])
    Image.fromarray(frame(0)).save(tmp_path / "a.png")
    points = ";".join(f"{x:.2f},{y:.2f}" for x, y in corners)
    (tmp_path / "a.xml").write_text(
        f'<annotations><image name="a.png" width="{SIZE[1]}" height="{SIZE[0]}">'
        f'<polygon label="car" points="{points}"/><points label="car" points="1,1"/></image>'
        "</annotations>"
    )
    with pytest.raises(UsageError, match="one class alone"):
        convert(tmp_path / "a.xml", tmp_path / "out", "cvat", rest=None)
    made = convert(tmp_path / "a.xml", tmp_path / "out", "cvat")
    assert made.unmapped == [f"{tmp_path / 'a.xml'}: a.png: car: points"]
    dataset = open_dataset(tmp_path / "out")
    (split,) = dataset.splits
    _, labels = read_pair(dataset.pairs(split)[0], dataset.encoding)
    centers = np.stack(np.meshgrid(np.arange(SIZE[1]), np.arange(SIZE[0])), -1).reshape(-1, 2) + 0.5
    expected = Outline(corners).contains_points(centers).reshape(SIZE)
    assert np.mean((labels == 0) == expected) >= 0.995
    assert set(np.unique(labels)) == {0, 1}
