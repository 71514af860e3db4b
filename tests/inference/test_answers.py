"""What `predict_inputs` writes as data: one report of all images, polygons, probabilities."""

from __future__ import annotations

import json
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from PIL import Image

from asap_tf.core.errors import AsapError, Interrupted, UsageError
from asap_tf.core.labels import IGNORE_LABEL, numbered_classes
from asap_tf.core.signals import Stop
from asap_tf.data import open_dataset
from asap_tf.data.convert import convert
from asap_tf.data.images import read_pair
from asap_tf.inference.files import predict_inputs
from asap_tf.inference.panoptic import PanopticReport
from asap_tf.inference.polygons import layers, polygons
from asap_tf.inference.report import Report
from asap_tf.runtime import Segmenter

CLASSES = numbered_classes(4)
NAMES = [label.name for label in CLASSES]
SIZE = 128, 160


class Bright:
    """A network whose logits are those of the gray that a class has."""

    num_classes, size, has_confidence = 4, None, False

    def logit_bands(self, frame, size):
        gray = frame[..., :1].astype(np.float32)
        for top in range(0, size[0], 50):
            rows = slice(top, min(top + 50, size[0]))
            yield rows, -np.abs(gray[rows] - 80 * np.arange(4)) / 20

    def labels(self, frames, size, out=None):
        bands = [logits.argmax(-1) for _, logits in self.logit_bands(frames[0], size)]
        return np.vstack(bands).astype(np.uint8)[np.newaxis]


def blobs(seed: int, values: int = 4, size: tuple[int, int] = SIZE) -> np.ndarray:
    """Smooth random regions, in each other and beside each other."""
    noise = np.random.default_rng(seed).normal(size=(values, *size)).astype(np.float32)
    return np.argmax([cv2.GaussianBlur(n, (0, 0), 12) for n in noise], axis=0).astype(np.uint8)


def ring() -> np.ndarray:
    """A region in the hole of a region in the hole of a region."""
    labels = np.zeros(SIZE, np.uint8)
    for value, radius in ((1, 55), (2, 40), (1, 25), (3, 10)):
        cv2.circle(labels, (80, 60), radius, value, -1)
    return labels


def save(path, labels, exif=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.repeat(80 * labels[..., np.newaxis], 3, axis=-1).astype(np.uint8)
    Image.fromarray(pixels).save(path, **({} if exif is None else {"exif": exif}))
    return path


def test_polygons_with_holes_paint_the_labels_of_their_class():
    for labels in (blobs(0), ring(), blobs(1)):
        labels[70:, 100:] = IGNORE_LABEL
        painted = np.full(SIZE, IGNORE_LABEL, np.uint8)
        for train_id, rings in polygons(labels):
            region = cv2.fillPoly(np.zeros(SIZE, np.uint8), rings, 1).astype(bool)
            assert (labels[region] == train_id).mean() > 0.9
            painted[region] = train_id
        assert (painted == labels).mean() > 0.99
    first = [(train_id, len(rings)) for train_id, rings in polygons(ring())]
    assert first == [(0, 2), (1, 2), (1, 2), (2, 2), (3, 1)]


def test_specks_belong_to_what_is_beside_them():
    labels = np.zeros((20, 30), np.uint8)
    labels[:, 15:] = 1
    plain = labels.copy()
    labels[3, 3:6], labels[9:11, 14], labels[0, 29], labels[5:7, 20:22] = 2, 3, 0, 2
    plain[5:7, 20:22] = 2
    for found in (layers(labels), [(value, rings[0]) for value, rings in polygons(labels)]):
        assert sorted(value for value, _ in found) == [0, 1, 2]
    again = polygons(plain)
    for (value, rings), (other, expected) in zip(polygons(labels), again, strict=True):
        assert value == other
        for given, wanted in zip(rings, expected, strict=True):
            np.testing.assert_array_equal(given, wanted)
    noise = np.arange(9, dtype=np.uint8).reshape(3, 3) % 2
    ((value, outline),) = layers(noise)
    assert value == 0 and sorted(outline.tolist()) == [[0, 0], [0, 2], [2, 0], [2, 2]]
    line = np.zeros((9, 9), np.uint8)
    line[4, 2:7] = 1
    assert all(len(outline) > 2 for _, outline in layers(line))


def test_regions_that_touch_at_corners_do_not_cross(monkeypatch):
    monkeypatch.setattr("asap_tf.inference.polygons._TOLERANCE", 0)
    checks = np.kron(np.indices((9, 12)).sum(0) % 2, np.ones((3, 3), int)).astype(np.uint8)
    painted = np.full(checks.shape, 9, np.uint8)
    for train_id, outline in layers(checks):
        cv2.fillPoly(painted, [outline], train_id)
    np.testing.assert_array_equal(painted, checks)


def test_coco_panoptic_by_its_published_rule_and_back(tmp_path):
    frames = tmp_path / "frames"
    drawn = {"a.png": blobs(2), "deeper/b.png": ring(), "deeper/c.png": np.zeros(SIZE, np.uint8)}
    for name, labels in drawn.items():
        save(frames / name, labels)
    segmenter, out = Segmenter(Bright(), CLASSES), frames / "panoptic"
    report = PanopticReport(out / "panoptic.json", "bright", out=out)
    written = predict_inputs(segmenter, [frames], out, "coco", report=report)
    assert written == [out / name for name in drawn]
    content = json.loads((out / "panoptic.json").read_text())
    names = {category["id"]: category["name"] for category in content["categories"]}
    assert list(names.values()) == NAMES and 0 not in names
    for image, annotation in zip(content["images"], content["annotations"], strict=True):
        labels = drawn[image["file_name"]]
        assert (image["height"], image["width"]) == labels.shape
        assert annotation["image_id"] == image["id"]
        png = np.asarray(Image.open(out / annotation["file_name"]).convert("RGB")).astype(int)
        numbers = png[..., 0] + 256 * png[..., 1] + 256**2 * png[..., 2]
        assert set(np.unique(numbers)) == {s["id"] for s in annotation["segments_info"]}
        for segment in annotation["segments_info"]:
            region = numbers == segment["id"]
            assert segment["area"] == region.sum() and segment["iscrowd"] == 0
            rows, columns = np.nonzero(region)
            box = [columns.min(), rows.min(), np.ptp(columns) + 1, np.ptp(rows) + 1]
            assert segment["bbox"] == box
            (value,) = set(labels[region].tolist())
            assert names[segment["category_id"]] == NAMES[value]
    convert(frames, tmp_path / "dataset", "coco", val=0)
    dataset = open_dataset(tmp_path / "dataset")
    assert [label.name for label in dataset.classes] == NAMES
    for pair in dataset.pairs("train"):
        name = pair.image.relative_to(tmp_path / "dataset" / "frames" / "train").as_posix()
        _, found = read_pair(pair, dataset.encoding)
        np.testing.assert_array_equal(found, drawn[name])
    assert len(dataset.pairs("train")) == 3


def test_what_is_unknown_is_void_in_coco(tmp_path):
    save(tmp_path / "a.png", blobs(2))
    report = PanopticReport(tmp_path / "out" / "panoptic.json", "bright", out=tmp_path / "out")
    arguments = {"mode": "coco", "unknown_below": 1, "report": report}
    predict_inputs(
        Segmenter(Bright(), CLASSES), [tmp_path / "a.png"], tmp_path / "out", **arguments
    )
    assert not np.asarray(Image.open(tmp_path / "out" / "a.png")).any()
    (annotation,) = json.loads(report.file.read_text())["annotations"]
    assert annotation["segments_info"] == []


def test_labelme_comes_back_as_a_dataset(tmp_path):
    frames, out = tmp_path / "frames", tmp_path / "labels"
    turned = Image.Exif()
    turned[0x0112] = 6
    drawn = {"a.png": blobs(2), "deeper/b.png": ring(), "t.png": blobs(3)}
    for name, labels in drawn.items():
        save(frames / name, labels, turned if name == "t.png" else None)
    drawn["t.png"] = np.rot90(drawn["t.png"], -1)
    segmenter = Segmenter(Bright(), CLASSES)
    written = predict_inputs(segmenter, [frames], out, "labelme")
    assert written == [out / name.replace("png", "json") for name in drawn]
    content = json.loads((out / "deeper" / "b.json").read_text())
    assert content["imagePath"] == "../../frames/deeper/b.png"
    assert (content["imageHeight"], content["imageWidth"]) == SIZE
    assert [shape["label"] for shape in content["shapes"]] == [NAMES[i] for i in (0, 1, 2, 1, 3)]
    convert(out, tmp_path / "dataset", "labelme", val=0)
    dataset = open_dataset(tmp_path / "dataset")
    # A class of its own would have been made of pixels that no shape covers.
    ids = np.array([NAMES.index(label.name) for label in dataset.classes if label.name in NAMES])
    pairs = {pair.image.name: pair for pair in dataset.pairs("train")}
    assert len(pairs) == 3
    for name, labels in drawn.items():
        _, found = read_pair(pairs[name.rpartition("/")[2]], dataset.encoding)
        assert found.max() < len(ids) and (ids[found] == labels).mean() >= 0.995
    # Beside the frames themselves, with what is unknown.
    predict_inputs(segmenter, [frames / "a.png"], frames, "labelme", unknown_below=0.5)
    content = json.loads((frames / "a.json").read_text())
    assert content["imagePath"] == "a.png"
    assert "unknown" not in {shape["label"] for shape in content["shapes"]}
    predict_inputs(segmenter, [frames / "a.png"], frames, "labelme", unknown_below=1)
    content = json.loads((frames / "a.json").read_text())
    assert {shape["label"] for shape in content["shapes"]} == {"unknown"}


def test_probabilities_of_all_classes(tmp_path):
    source = save(tmp_path / "a.png", blobs(0))
    segmenter = Segmenter(Bright(), CLASSES, metadata={"temperature": 2.0})
    (target,) = predict_inputs(segmenter, [source], tmp_path / "out", "probabilities")
    assert target == tmp_path / "out" / "a.npz"
    with np.load(target) as stored:
        found, names = stored["probabilities"], stored["classes"]
    assert found.dtype == np.float16 and found.shape == (*SIZE, 4) and names.tolist() == NAMES
    gray = 80.0 * np.arange(4)
    odds = np.exp(-np.abs(gray[:, np.newaxis] - gray) / 20 / 2)
    expected = (odds / odds.sum(-1, keepdims=True))[blobs(0)]
    np.testing.assert_allclose(found, expected, atol=0.001)


def read_strictly(path):
    return json.loads(path.read_text(), parse_constant=pytest.fail)["images"]


def test_a_report_of_all_images(tmp_path):
    drawn = {"b.png": blobs(0), "a.png": ring()}
    sources = [save(tmp_path / name, labels) for name, labels in drawn.items()]
    segmenter = Segmenter(Bright(), CLASSES)
    file, out = tmp_path / "new" / "report.json", tmp_path / "out"
    predict_inputs(segmenter, sources, out, "ids", report=Report(file, "runs/x", polygons=True))
    found = read_strictly(file)
    assert [entry["path"] for entry in found] == [str(source) for source in sources]
    for entry, labels in zip(found, drawn.values(), strict=True):
        assert entry["model"] == "runs/x" and entry["seconds"] > 0 and "unknown" not in entry
        assert entry["size"] == entry["network_size"] == list(SIZE)
        expected = {name: np.mean(labels == i) for i, name in enumerate(NAMES)}
        assert entry["shares"] == pytest.approx(expected, abs=1e-6)
        painted = np.full(SIZE, IGNORE_LABEL, np.uint8)
        for region in entry["polygons"]:
            rings = [np.array(ring) for ring in region["rings"]]
            cv2.fillPoly(painted, rings, NAMES.index(region["class"]))
        assert (painted == labels).mean() >= 0.99
    assert sorted(path.name for path in out.iterdir()) == ["a.png", "b.png"]

    # Between two classes' grays the network is less sure.
    pixels = np.asarray(Image.open(sources[0])).copy()
    pixels[:32] = 40
    Image.fromarray(pixels).save(sources[0])
    segmenter.tile = (64, 0)
    predict_inputs(segmenter, sources[:1], out, unknown_below=0.8, report=Report(file, "x"))
    (entry,) = read_strictly(file)
    assert entry["network_size"] == [64, 64] and "polygons" not in entry
    assert entry["unknown"] == 0.25
    expected = {name: np.mean(drawn["b.png"][32:] == i) for i, name in enumerate(NAMES)}
    assert entry["shares"] == pytest.approx(expected, abs=1e-6)
    predict_inputs(segmenter, sources[:1], out, unknown_below=1, report=Report(file, "x"))
    (entry,) = read_strictly(file)
    assert entry["unknown"] == 1 and set(entry["shares"].values()) == {0}


def test_a_report_after_a_stop_or_a_broken_image_tells_of_the_others(tmp_path):
    sources = [save(tmp_path / f"{i}.png", ring()) for i in range(20)]
    file, stop = tmp_path / "report.json", Stop()

    class Stopped(Bright):
        def labels(self, *arguments):
            stop.requested = 1
            return super().labels(*arguments)

    with pytest.raises(Interrupted):
        segmenter = Segmenter(Stopped(), CLASSES)
        out = tmp_path / "out"
        predict_inputs(segmenter, sources, out, "ids", stop=stop, report=Report(file, "x"))
    labeled = sorted(path.name for path in out.iterdir())
    found = read_strictly(file)
    assert 0 < len(found) < 20
    assert sorted(entry["path"].rpartition("/")[2] for entry in found) == labeled
    sources[0].write_bytes(sources[0].read_bytes()[:150])
    with pytest.raises(AsapError, match="0.png: broken"):
        segmenter = Segmenter(Bright(), CLASSES)
        predict_inputs(segmenter, sources[:2], out, "ids", report=Report(file, "x"))
    assert [entry["path"] for entry in read_strictly(file)] == [str(sources[1])]


def test_what_is_of_images_is_refused_for_videos_and_in_the_way(tmp_path):
    image, out = save(tmp_path / "a.png", ring()), tmp_path / "out"
    video = tmp_path / "drive.mp4"
    writer = cv2.VideoWriter(str(video), cv2.VideoWriter.fourcc(*"mp4v"), 10, SIZE[::-1])
    writer.write(np.zeros((*SIZE, 3), np.uint8))
    writer.release()
    unused = SimpleNamespace(classes=CLASSES)
    report = Report(tmp_path / "report.json", "x")
    for sources, mode, given, message in (
        ([image, video], "labelme", None, "drive.mp4: `mode` labelme is for images"),
        ([tmp_path], "probabilities", None, "drive.mp4: `mode` probabilities is for images"),
        ([image, video], "overlay", report, "drive.mp4: `json` is for images"),
        ([image], "confidence", report, "`json`: tells of labels; .* `mode` confidence"),
        ([image], "labelme", Report(out / "a.json", "x"), "an input or its result"),
        ([image], "overlay", Report(image, "x"), "an input or its result"),
        ([image], "overlay", Report(tmp_path, "x"), "is a folder; name a file"),
        ([image], "overlay", Report(image / "r.json", "x"), "cannot be written to"),
    ):
        with pytest.raises(UsageError, match=message):
            predict_inputs(unused, sources, out, mode, report=given)
    with pytest.raises(UsageError, match="`format` jpg: `mode` labelme is written as json"):
        predict_inputs(unused, [image], out, "labelme", format="jpg")
    with pytest.raises(UsageError, match="`unknown_below`: is of labels; leave it out for prob"):
        predict_inputs(unused, [image], out, "probabilities", unknown_below=0.5)
