"""COCO's annotations, converted, against masks of scenes."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest
from PIL import Image

from asap_tf.data import open_dataset
from asap_tf.data.convert import convert
from asap_tf.data.images import read_pair
from support.scenes import NAMES, SIZE, agreement, contours, runs


def coco(frames, segmentation) -> dict:
    images = [
        {"id": i, "file_name": name, "height": SIZE[0], "width": SIZE[1]}
        for i, name in enumerate(frames)
    ]
    annotations = [
        {
            "image_id": i,
            "category_id": 7 * c + 1,
            "segmentation": segmentation(labels == c),
            "area": int((labels == c).sum()),
        }
        for i, labels in enumerate(frames.values())
        for c in range(3)
    ]
    categories = [{"id": 7 * i + 1, "name": name} for i, name in enumerate(NAMES)]
    return {"images": images, "categories": categories, "annotations": annotations}


def compressed(region: np.ndarray) -> dict:
    from pycocotools import mask

    encoded = mask.encode(np.asfortranarray(region.astype(np.uint8)))
    return {**encoded, "counts": encoded["counts"].decode()}


def plain_runs(region: np.ndarray) -> dict:
    return {"counts": runs(region.T.ravel()), "size": list(SIZE)}


def outlines(region: np.ndarray) -> list[list[float]]:
    """Polygons along the edges of the pixels; COCO's have no holes, so these are slit."""
    slit = region.copy()
    for points, is_hole in contours(region):
        if is_hole:
            x, y = points.mean(0).astype(int)
            slit[y, x:] = False
    grown = np.kron(slit, np.ones((4, 4), bool))
    return [((p + 0.5) / 4).ravel().tolist() for p, is_hole in contours(grown) if not is_hole]


@pytest.mark.parametrize(
    ("segmentation", "floor"), [(compressed, 1), (plain_runs, 1), (outlines, 0.995)]
)
def test_coco(source, segmentation, floor):
    annotations = source.folder / "annotations"
    annotations.mkdir()
    names = list(source.frames)
    for split, part in (("train", names[:3]), ("val", names[3:])):
        content = coco({name: source.frames[name] for name in part}, segmentation)
        (annotations / f"instances_{split}2017.json").write_text(json.dumps(content))
    made = convert(source.folder, source.out, "coco")
    assert (made.counts, made.unmapped) == ({"train": 3, "val": 1}, [])
    assert made.classes == [*NAMES, "background"]
    assert agreement(source) >= floor


def test_coco_panoptic(source):
    """COCO's own layout: a folder of PNGs by the JSON's name, things one by one, and void."""
    names = list(source.frames)
    for split, part in (("train", names[:3]), ("val", names[3:])):
        images, annotations = [], []
        folder = source.folder / f"panoptic_{split}2017"
        for i, name in enumerate(part):
            labels = source.frames[name]
            numbers, segments = np.zeros(SIZE, int), []
            for c in range(3):
                regions = cv2.connectedComponents((labels == c).astype(np.uint8))[1]
                for region in range(1, regions.max() + 1):
                    number = 70_000 * (c + 1) + 300 * region
                    numbers[regions == region] = number
                    segments.append({"id": number, "category_id": 7 * c + 1, "iscrowd": 0})
            png = folder / f"{i}.png"
            png.parent.mkdir(exist_ok=True)
            colors = [numbers % 256, numbers // 256 % 256, numbers // 256**2]
            Image.fromarray(np.stack(colors, -1).astype(np.uint8)).save(png)
            image = {"id": i, "file_name": name, "height": SIZE[0], "width": SIZE[1]}
            images.append(image)
            annotations.append({"image_id": i, "file_name": png.name, "segments_info": segments})
        categories = [{"id": 7 * i + 1, "name": name} for i, name in enumerate(NAMES)]
        content = {"images": images, "annotations": annotations, "categories": categories}
        (source.folder / f"panoptic_{split}2017.json").write_text(json.dumps(content))
    made = convert(source.folder, source.out, "coco")
    assert (made.counts, made.unmapped) == ({"train": 3, "val": 1}, [])
    assert made.classes == NAMES
    dataset = open_dataset(source.out)
    for split, part in (("train", names[:3]), ("val", names[3:])):
        for pair in dataset.pairs(split):
            key = pair.image.relative_to(source.out / "frames" / split).as_posix()
            assert key in part
            np.testing.assert_array_equal(read_pair(pair, dataset.encoding)[1], source.frames[key])


def test_coco_panoptic_that_does_not_fit(source):
    name = next(iter(source.frames))
    Image.new("RGB", (9, 9)).save(source.folder / "small.png")
    segment = {"id": 1, "category_id": 1}
    content = {
        "images": [{"id": i, "file_name": name, "height": 90, "width": 120} for i in range(3)],
        "categories": [{"id": 1, "name": "road"}, {"id": 2, "name": "car"}],
        "annotations": [
            {"image_id": 0, "file_name": "small.png", "segments_info": [segment]},
            {"image_id": 1, "file_name": "gone.png", "segments_info": [segment]},
            {
                "image_id": 2,
                "file_name": "small.png",
                "segments_info": [{"id": 1, "category_id": 9}],
            },
        ],
    }
    (source.folder / "a.json").write_text(json.dumps(content))
    made = convert(source.folder, source.out, "coco", val=0)
    problems = "\n".join(made.unmapped)
    assert "small.png has 9 x 9 pixels; left out" in problems
    assert "annotation of image 2: no such image, or no category 9" in problems
    assert f"{source.folder / 'a' / 'gone.png'}: no such file" in problems
