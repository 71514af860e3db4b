"""Cityscapes' polygons, converted, against the official script."""

from __future__ import annotations

import json

import numpy as np
from PIL import Image

from asap_tf.data import open_dataset
from asap_tf.data.convert import convert
from asap_tf.data.images import read_pair
from support.scenes import SIZE, frame


def test_cityscapes_polygons_against_the_official_script(tmp_path):
    from cityscapesscripts.helpers.annotation import Annotation
    from cityscapesscripts.preparation.json2labelImg import createLabelImage

    rng = np.random.default_rng(0)
    labels = [
        "road",
        "sky",
        "cargroup",
        "parking",
        "license plate",
        "pole",
        "ego vehicle",
        "person",
    ]
    objects = [
        {"label": label, "polygon": rng.integers(-9, [129, 99], (5, 2)).tolist()}
        for label in labels * 3
    ]
    json_file = tmp_path / "gtFine/train/ulm/ulm_000000_000019_gtFine_polygons.json"
    image = tmp_path / "leftImg8bit/train/ulm/ulm_000000_000019_leftImg8bit.png"
    for file in (json_file, image):
        file.parent.mkdir(parents=True)
    content = {"imgHeight": SIZE[0], "imgWidth": SIZE[1], "objects": objects}
    json_file.write_text(json.dumps(content))
    Image.fromarray(frame(0)).save(image)
    made = convert(tmp_path, tmp_path / "out", "cityscapes-polygons")
    assert made.counts == {"train": 1} and len(made.classes) == 19
    dataset = open_dataset(tmp_path / "out")
    _, ours = read_pair(dataset.pairs("train")[0], dataset.encoding)
    official = Annotation()
    official.fromJsonFile(str(json_file))
    np.testing.assert_array_equal(ours, np.array(createLabelImage(official, "trainIds")))
