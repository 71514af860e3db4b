"""What annotation tools write, converted, against what these tools make of it themselves."""

from __future__ import annotations

import json
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from matplotlib.path import Path as Outline
from PIL import Image

from asap_tf.core.errors import AsapError, UsageError
from asap_tf.data import open_dataset
from asap_tf.data.convert import convert
from asap_tf.data.images import read_pair

SIZE = (90, 120)
NAMES = ["road", "car", "sign"]


def scene(seed: int) -> np.ndarray:
    """Labels of a road beyond three edges, cars with windows in two parts, and signs; 255 else."""
    rng = np.random.default_rng(seed)
    labels = np.full(SIZE, 255, np.uint8)
    cv2.fillPoly(labels, [np.array([[-9, 100], [45, 40], [70, 40], [140, 100]])], 0)
    for _ in range(2):
        x, y = map(int, rng.integers(20, 80, 2))
        cv2.circle(labels, (x, y), 15, 1, -1)
        cv2.circle(labels, (x, y), 5, 255, -1)
        cv2.rectangle(labels, (x + 18, 20), (x + 24, 31), 2, -1)
    return labels


def frame(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (*SIZE, 3), dtype=np.uint8)


@pytest.fixture
def source(tmp_path):
    """A folder with the frames of four scenes, in two subfolders."""
    folder = tmp_path / "source"
    for i in range(4):
        path = folder / f"drive{i % 2}" / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(frame(i)).save(path)
    frames = {f"drive{i % 2}/{i}.png": scene(i) for i in range(4)}
    return SimpleNamespace(folder=folder, out=tmp_path / "out", frames=frames)


def contours(region: np.ndarray) -> list[tuple[np.ndarray, bool]]:
    """Corners of the outlines of a region, pixel centers, each with whether it is a hole's."""
    found, tree = cv2.findContours(region.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    return [(c[:, 0], node[3] >= 0) for c, node in zip(found, tree[0], strict=True)]


def agreement(source, names=("background", *NAMES)) -> float:
    """Share of pixels of the converted frames that are labeled as in their scenes."""
    dataset = open_dataset(source.out)
    train_ids = [[c.name for c in dataset.classes].index(name) for name in names]
    equal = []
    for split in dataset.splits:
        for pair in dataset.pairs(split):
            key = pair.image.relative_to(source.out / "frames" / split).as_posix()
            pixels, labels = read_pair(pair, dataset.encoding)
            np.testing.assert_array_equal(pixels, frame(int(pair.image.stem)))
            truth = source.frames[key]
            wanted = np.choose(np.where(truth == 255, 0, truth + 1), train_ids)
            equal.append(labels == wanted)
    assert len(equal) == len(source.frames)
    return float(np.mean(equal))


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

    runs = mask.encode(np.asfortranarray(region.astype(np.uint8)))
    return {**runs, "counts": runs["counts"].decode()}


def plain_runs(region: np.ndarray) -> dict:
    """Runs of the columns, of pixels outside and inside in turn."""
    column = np.concatenate([[0], region.T.ravel().astype(int), [1 - int(region.T.ravel()[-1])]])
    ends = np.flatnonzero(np.diff(column))
    return {"counts": np.diff([0, *ends]).tolist(), "size": list(SIZE)}


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


def test_cvat_masks_and_boxes(source):
    images = []
    for i, (name, labels) in enumerate(source.frames.items()):
        shapes = []
        for c in (0, 1):
            rows, columns = np.nonzero(labels == c)
            top, left = rows.min(), columns.min()
            box = (labels == c)[top : rows.max() + 1, left : columns.max() + 1]
            flat = np.concatenate([[0], box.ravel().astype(int), [1 - int(box.ravel()[-1])]])
            runs = ", ".join(map(str, np.diff([0, *np.flatnonzero(np.diff(flat))])))
            place = f'left="{left}" top="{top}" width="{box.shape[1]}" height="{box.shape[0]}"'
            shapes.append(f'<mask label="{NAMES[c]}" rle="{runs}" {place} z_order="1"/>')
        signs = cv2.connectedComponentsWithStats((labels == 2).astype(np.uint8))[2][1:]
        shapes += [
            f'<box label="sign" xtl="{x}" ytl="{y}" xbr="{x + w}" ybr="{y + h}" z_order="0"/>'
            for x, y, w, h, area in signs
            if area == w * h
        ]
        covered = [cv2.boundingRect((labels == 2).astype(np.uint8))] if len(signs) == 0 else []
        assert not covered
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


def test_voc(source):
    colors = {
        "background": (0, 0, 0),
        "road": (128, 0, 0),
        "car": (0, 128, 0),
        "sign": (128, 128, 0),
    }
    masks, lists = source.folder / "SegmentationClass", source.folder / "ImageSets/Segmentation"
    lists.mkdir(parents=True)
    lines = [f"{name}:{','.join(map(str, color))}::" for name, color in colors.items()]
    (source.folder / "labelmap.txt").write_text("\n".join(["# label:color:parts:actions", *lines]))
    (lists / "train.txt").write_text("drive0/0\ndrive1/1\ndrive0/2\n")
    (lists / "val.txt").write_text("drive1/3\n")
    for i, (name, labels) in enumerate(source.frames.items()):
        file = masks / name
        file.parent.mkdir(parents=True, exist_ok=True)
        ids = np.where(labels == 255, 0, labels + 1).astype(np.uint8)
        if i % 2:
            Image.fromarray(np.uint8(list(colors.values()))[ids]).save(file)
        else:
            Image.fromarray(ids).save(file)
    frames = source.folder / "JPEGImages"
    frames.mkdir()
    for drive in ("drive0", "drive1"):
        (source.folder / drive).rename(frames / drive)
    source.frames = {f"JPEGImages/{name}": labels for name, labels in source.frames.items()}
    made = convert(source.folder, source.out, "voc")
    assert made.counts == {"train": 3, "val": 1} and made.classes == list(colors)
    assert agreement(source) == 1


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
