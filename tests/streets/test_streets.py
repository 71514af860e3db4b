from __future__ import annotations

import subprocess
import sys

import cv2
import numpy as np
import pytest

from asap_tf.core.errors import AsapError, UsageError
from asap_tf.data.cityscapes import CLASSES, LABEL_ID_ENCODING, LABELS
from asap_tf.streets import render, write_streets
from asap_tf.streets.camera import Camera
from asap_tf.streets.labels import ID
from asap_tf.streets.mesh import Mesh
from asap_tf.streets.painter import Canvas
from asap_tf.streets.plan import Path as StreetPath
from asap_tf.streets.scene import Scene

COUNTED = {24, 25, 26, 27, 28, 31, 32, 33}


@pytest.fixture(scope="module")
def frames():
    """Eighty small frames; their seeds are not used for anything else."""
    return [render(seed, 128, 256) for seed in range(500, 580)]


def mean_iou(matrix: np.ndarray) -> float:
    hits = np.diag(matrix)
    union = matrix.sum(0) + matrix.sum(1) - hits
    return float((hits / np.maximum(union, 1))[matrix.sum(1) > 0].mean())


def matrix_of(truth: np.ndarray, guess: np.ndarray) -> np.ndarray:
    known = truth < 19
    cells = truth[known].astype(int) * 19 + guess[known]
    return np.bincount(cells, minlength=361).reshape(19, 19)


def test_a_seed_determines_every_byte():
    first, again, other = render(3, 96, 192), render(3, 96, 192), render(4, 96, 192)
    assert first.image.tobytes() == again.image.tobytes()
    assert first.instance_ids.tobytes() == again.instance_ids.tobytes()
    assert first.image.tobytes() != other.image.tobytes()


@pytest.mark.parametrize("size", [(128, 256), (96, 160), (65, 131)])
def test_frame_arrays(size):
    frame = render(11, *size)
    assert (frame.image.shape, frame.image.dtype) == ((*size, 3), np.uint8)
    assert (frame.label_ids.shape, frame.label_ids.dtype) == (size, np.uint8)
    assert (frame.instance_ids.shape, frame.instance_ids.dtype) == (size, np.uint16)


def test_labels_and_instances_are_of_the_official_table_and_agree(frames):
    official = {label.label_id for label in LABELS}
    for frame in frames:
        ids, labels = frame.instance_ids, frame.label_ids
        assert set(np.unique(labels)) <= official
        np.testing.assert_array_equal(np.where(ids >= 1000, ids // 1000, ids), labels)
        assert set(np.unique(labels[ids >= 1000])) <= COUNTED
        assert not set(np.unique(labels[ids < 1000])) & COUNTED


def test_the_same_seed_shows_the_same_street_at_every_size():
    agreement = []
    for seed in range(600, 606):
        small, large = render(seed, 128, 256), render(seed, 512, 1024)
        agreement.append((large.label_ids[2::4, 2::4] == small.label_ids).mean())
    assert min(agreement) > 0.9, agreement


def test_every_class_occurs_often_and_covers_enough(frames):
    truth = np.array([LABEL_ID_ENCODING.decode(frame.label_ids) for frame in frames])
    thin = {"traffic light", "traffic sign", "motorcycle", "bicycle", "rider"}
    for train_id, label in enumerate(CLASSES):
        where = truth == train_id
        assert where.any(axis=(1, 2)).mean() >= 0.25, label.name
        assert where.mean() >= (0.0025 if label.name in thin else 0.005), label.name


def test_neither_color_nor_position_tells_the_class(frames):
    train, val = frames[:60], frames[60:]
    decode = LABEL_ID_ENCODING.decode

    def bins(image: np.ndarray) -> np.ndarray:
        return (image >> 3).astype(int) @ (1024, 32, 1)

    histogram = np.zeros((19, 32768))
    positions = np.zeros((19, 128, 256), int)
    for frame in train:
        truth = decode(frame.label_ids)
        for train_id in range(19):
            where = truth == train_id
            histogram[train_id] += np.bincount(bins(frame.image)[where], minlength=32768)
            positions[train_id] += where
    balanced = histogram / np.maximum(histogram.sum(1, keepdims=True), 1)
    by_color = {"as they are": histogram.argmax(0), "balanced": balanced.argmax(0)}
    for name, table in by_color.items():
        guesses = [table[bins(frame.image)] for frame in val]
        total = sum(
            matrix_of(decode(frame.label_ids), guess)
            for frame, guess in zip(val, guesses, strict=True)
        )
        assert mean_iou(total) < 0.25, name
    commonest = positions.argmax(0)
    total = sum(matrix_of(decode(frame.label_ids), commonest) for frame in val)
    assert mean_iou(total) < 0.18


def test_camera_projects_and_looks_up_the_ground_consistently():
    camera = Camera.looking((100, 200), 0.9, (1.0, 1.5, 0.5), yaw=0.2, pitch=0.1, roll=0.03)
    x, z, distance = camera.plane(slice(60, 100), 0.0, 1000.0)
    points = np.stack([x.ravel(), np.zeros(x.size), z.ravel()], axis=1)
    seen = camera.to_camera(points)
    pixels = camera.to_pixels(seen).reshape(40, 200, 2)
    np.testing.assert_allclose(
        pixels[..., 0], np.broadcast_to(np.arange(200.0), (40, 200)), atol=0.05
    )
    np.testing.assert_allclose(
        pixels[..., 1], np.arange(60.0, 100)[:, None].repeat(200, 1), atol=0.05
    )
    np.testing.assert_allclose(seen[:, 2], distance.ravel(), rtol=1e-3)


def test_distance_is_affine_in_the_pixel_over_each_face():
    camera = Camera.looking((60, 120), 0.8, (0.0, 1.5, 0.0), pitch=0.08, roll=0.02)
    canvas = Canvas(camera)
    mesh = Mesh(ID["road"])
    mesh.add([(-90, 0, 1), (-90, 0, 300), (90, 0, 300), (90, 0, 1)], (90, 90, 90))
    canvas.draw([mesh], np.array([0.0, 1.0, 0.0]), 0.5, 0.5)
    rows = slice(45, 60)
    _, _, distance = camera.plane(rows, 0.0, 1000.0)
    assert (canvas.ids()[rows] == ID["road"]).all()
    np.testing.assert_allclose(1 / canvas.nearness()[rows], distance, rtol=1e-3)


def box(id: int, x: tuple[float, float], z: tuple[float, float], height: float) -> Mesh:
    mesh = Mesh(id)
    mesh.box(x, (0, height), z, (200, 100, 50))
    return mesh.place(0.0, 0.0)


@pytest.mark.parametrize("shuffle", range(4))
def test_what_is_nearer_hides_what_is_behind_even_beside_long_objects(shuffle):
    # A person beyond a bus's middle but on the near side of it, one behind it, a wall along both.
    camera = Camera.looking((128, 256), 0.8, (0.0, 1.5, 0.0))
    wall = box(ID["wall"], (5.0, 5.3), (2.0, 60.0), 3.0)
    bus = box(28000, (2.0, 4.5), (8.0, 30.0), 3.0)
    before = box(24000, (1.0, 1.5), (25.0, 25.5), 1.8)
    behind = box(24001, (4.6, 4.9), (20.0, 20.3), 1.8)
    scene = Scene(None, None, camera, None)
    scene.standing = [
        [wall, bus, before, behind][i] for i in np.random.default_rng(shuffle).permutation(4)
    ]
    canvas = Canvas(camera)
    canvas.draw(scene.far_to_near(), np.array([0.0, 1.0, 0.0]), 0.5, 0.5)
    ids = canvas.ids()

    alone = Canvas(camera)
    alone.draw([before], np.array([0.0, 1.0, 0.0]), 0.5, 0.5)
    assert (alone.ids() == 24000).sum() > 20
    np.testing.assert_array_equal(ids == 24000, alone.ids() == 24000)
    assert 24001 not in ids
    assert 28000 in ids and ID["wall"] in ids


def test_offsets_of_a_bending_street_keep_their_distance():
    path = StreetPath(3.0, 1.0, heading=0.3, bend=0.02)
    s = np.linspace(0, 80, 400)
    middle, right = np.stack(path.at(s, 0.0), 1), np.stack(path.at(s, 5.0), 1)
    nearest = np.linalg.norm(right[100, None] - middle, axis=1).min()
    assert nearest == pytest.approx(5.0, abs=0.01)
    step = middle[101] - middle[100]
    assert np.arctan2(step[0], step[1]) == pytest.approx(path.direction(s[100]), abs=0.01)


def test_written_folder(tmp_path):
    out = tmp_path / "streets"
    write_streets(out, train=3, val=2, seed=5, size=(64, 128))
    files = sorted(p.relative_to(out).as_posix() for p in out.rglob("*.png"))
    expected = []
    for split, count in (("train", 3), ("val", 2)):
        for number in range(count):
            stem = f"{split}/streets/streets_{number:06d}_000019"
            expected.append(f"leftImg8bit/{stem}_leftImg8bit.png")
            expected += [f"gtFine/{stem}_gtFine_{kind}Ids.png" for kind in ("instance", "label")]
    assert files == sorted(expected)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["streets"]
    for image in out.glob("leftImg8bit/*/streets/*.png"):
        stem = image.as_posix().replace("leftImg8bit/", "gtFine/").removesuffix("_leftImg8bit.png")
        pixels, labels, instances = (
            cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
            for path in (image, f"{stem}_gtFine_labelIds.png", f"{stem}_gtFine_instanceIds.png")
        )
        assert (pixels.shape, pixels.dtype) == ((64, 128, 3), np.uint8)
        assert (labels.shape, labels.dtype) == ((64, 128), np.uint8)
        assert (instances.shape, instances.dtype) == ((64, 128), np.uint16)
        np.testing.assert_array_equal(
            np.where(instances >= 1000, instances // 1000, instances), labels
        )


def contents(root) -> dict[str, bytes]:
    return {p.relative_to(root).as_posix(): p.read_bytes() for p in root.rglob("*.png")}


def test_files_do_not_depend_on_the_workers_nor_on_how_many_frames_follow(tmp_path, monkeypatch):
    monkeypatch.setattr("asap_tf.streets.writer.available_cores", lambda: 1)
    write_streets(tmp_path / "one", train=5, val=2, size=(48, 96))
    monkeypatch.setattr("asap_tf.streets.writer.available_cores", lambda: 2)
    write_streets(tmp_path / "two", train=7, val=2, size=(48, 96))
    alone, pool = contents(tmp_path / "one"), contents(tmp_path / "two")
    assert len(pool) == len(alone) + 6
    assert {name: pool[name] for name in alone} == alone
    images = [data for name, data in pool.items() if "leftImg8bit" in name]
    assert len(set(images)) == len(images)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"train": -1}, ("train", "-1")),
        ({"train": 0, "val": 0}, ("train", "val")),
        ({"seed": -3}, ("seed", "-3")),
        ({"size": (16, 512)}, ("16x512",)),
    ],
)
def test_wrong_numbers_are_refused(tmp_path, arguments, words):
    with pytest.raises(UsageError) as caught:
        write_streets(tmp_path / "out", **arguments)
    assert all(word in str(caught.value) for word in words)
    assert not any(tmp_path.iterdir())


def test_an_existing_folder_is_refused_and_left_alone(tmp_path):
    (tmp_path / "out").mkdir()
    with pytest.raises(UsageError, match="already exists"):
        write_streets(tmp_path / "out", train=1, val=0)
    assert not any((tmp_path / "out").iterdir())


def test_a_place_that_cannot_be_written_is_named_and_nothing_is_left(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(AsapError, match=r"out: cannot be written \(Not a directory\)"):
        write_streets(tmp_path / "file" / "out", train=1, val=0, size=(48, 96))
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_rendering_loads_no_tensorflow():
    code = "import sys, asap_tf.streets; print({'tensorflow', 'keras'} & set(sys.modules))"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "set()"
