"""Conversion of annotations of any tool; each tool's own are in `annotations/`."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from asap_tf.core.errors import AsapError, UsageError
from asap_tf.data import open_dataset
from asap_tf.data.convert import convert
from asap_tf.data.images import read_pair
from support.scenes import SIZE, frame


def test_a_frame_that_is_turned_or_of_another_size(tmp_path):
    pixels = np.ascontiguousarray(frame(0).transpose(1, 0, 2))
    exif = Image.Exif()
    exif[0x0112] = 6  # shown turned by 90 degrees
    Image.fromarray(pixels).save(tmp_path / "turned.png", exif=exif)
    Image.fromarray(pixels).save(tmp_path / "other.png")
    for name in ("turned", "other", "gone"):
        shape = {"label": "car", "points": [[1, 1], [30, 1], [30, 30]]}
        content = {"imagePath": f"{name}.png", "imageHeight": SIZE[0], "imageWidth": SIZE[1]}
        (tmp_path / f"{name}.json").write_text(json.dumps({**content, "shapes": [shape]}))
    made = convert(tmp_path, tmp_path / "out", "labelme", val=0)
    assert made.counts == {"train": 1}
    assert made.unmapped == [
        f"{tmp_path / 'gone.json'}: no frame gone.png",
        f"{tmp_path / 'other.png'}: the frame has 90 x 120 pixels, its annotations are for "
        "120 x 90; left out",
    ]
    dataset = open_dataset(tmp_path / "out")
    upright, _ = read_pair(dataset.pairs("train")[0], dataset.encoding)
    np.testing.assert_array_equal(upright, np.rot90(pixels, -1))


@pytest.mark.parametrize(
    ("kind", "name", "content", "error", "message"),
    [
        ("labelme", "a.json", "[", AsapError, "a.json: not JSON"),
        ("labelme", "a.json", "[" * 10**5, AsapError, "a.json: not JSON"),
        ("labelme", "a.json", '{"imagePath": 3}', AsapError, "a.json: imagePath=3: "),
        ("cvat", "a.xml", "<annotations>", AsapError, "a.xml: not XML of CVAT's"),
        ("cvat", "a.xml", '<!DOCTYPE a [<!ENTITY b "c">]><a/>', AsapError, "declares entities"),
        ("coco", "a.json", '{"images": []}', AsapError, "a.json: categories="),
        ("coco", "a.txt", "", UsageError, r"no files \*.json"),
        ("cvat", "a.xml", "<annotations/>", UsageError, "no frame with annotations as cvat"),
        ("voc", "a.xml", "", UsageError, "no folder SegmentationClass"),
        ("yolo", "a.txt", "", UsageError, "`kind` yolo: no such format; "),
    ],
)
def test_what_cannot_be_converted(tmp_path, kind, name, content, error, message):
    source = tmp_path / "source"
    source.mkdir()
    (source / name).write_text(content)
    with pytest.raises(error, match=message) as told:
        convert(source, tmp_path / "out", kind)
    assert len(str(told.value)) < 2000
    assert [file.name for file in tmp_path.iterdir()] == ["source"]
