from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import yaml

from asap_tf.core.errors import UsageError
from asap_tf.data import open_dataset
from asap_tf.data.images import read_pair


def describe(root: Path, **changes: object) -> None:
    """Change fields of the description; None takes a field out."""
    path = root / "dataset.yaml"
    content = yaml.safe_load(path.read_text()) | changes
    path.write_text(yaml.safe_dump({k: v for k, v in content.items() if v is not None}))


def message(root: Path) -> str:
    with pytest.raises(UsageError) as error:
        open_dataset(root)
    text = str(error.value)
    assert text.startswith(f"{root / 'dataset.yaml'}: ")
    assert "\n" not in text
    return text.removeprefix(f"{root / 'dataset.yaml'}: ")


INDEX_CLASSES = [
    {"name": "road", "color": [1, 2, 3]},
    {"name": "car", "color": [1, 2, 3], "id": 26},
]


def test_color_masks(folder_root: Path) -> None:
    dataset = open_dataset(folder_root)
    assert [(c.name, c.category, c.label_id) for c in dataset.classes] == [
        ("road", "flat", -1),
        ("car", "car", -1),
    ]
    assert {split: len(pairs) for split, pairs in dataset.splits.items()} == {
        "train": 2,
        "val": 1,
        "test": 1,
    }
    assert dataset.pairs("test")[0].mask is None
    assert set(np.unique(read_pair(dataset.pairs("val")[0], dataset.encoding)[1])) == {0, 1, 255}


def test_index_masks_take_ids_from_positions_unless_given(folder_root: Path) -> None:
    describe(folder_root, masks="index", classes=INDEX_CLASSES, ignore_label=None)
    dataset = open_dataset(folder_root)
    assert [c.label_id for c in dataset.classes] == [0, 26]
    assert dataset.encoding.decode(np.uint8([[0, 26, 255]])).tolist() == [[0, 1, 255]]


@pytest.mark.parametrize(
    ("masks", "ignored", "raw", "decoded"),
    [
        ("index", 9, [[0, 9]], [[0, 255]]),
        ("index", [9, 255], [[9, 26, 255]], [[255, 1, 255]]),
        ("color", None, [[[128, 64, 128]]], [[0]]),
        ("color", [9, 9, 9], [[[9, 9, 9], [0, 0, 142]]], [[255, 1]]),
        ("color", [[9, 9, 9], [0, 0, 0]], [[[9, 9, 9], [0, 0, 0]]], [[255, 255]]),
    ],
)
def test_ignored_values(
    masks: str, ignored: object, raw: list, decoded: list, folder_root: Path
) -> None:
    describe(folder_root, masks=masks, ignore_label=ignored)
    if masks == "index":
        describe(folder_root, classes=INDEX_CLASSES)
    encoding = open_dataset(folder_root).encoding
    assert encoding.decode(np.uint8(raw)).tolist() == decoded


def test_several_ids_or_colors_of_a_class(folder_root: Path) -> None:
    road = {"name": "road", "color": [[128, 64, 128], [1, 1, 1]]}
    describe(folder_root, classes=[road, {"name": "car", "color": [0, 0, 142]}])
    dataset = open_dataset(folder_root)
    assert dataset.classes[0].color == (128, 64, 128)
    colors = np.uint8([[[1, 1, 1], [128, 64, 128], [0, 0, 142]]])
    assert dataset.encoding.decode(colors).tolist() == [[0, 0, 1]]
    classes = [INDEX_CLASSES[0] | {"id": [7, 8, 9]}, INDEX_CLASSES[1]]
    describe(folder_root, masks="index", ignore_label=None, classes=classes)
    assert open_dataset(folder_root).encoding.decode(np.uint8([[7, 9, 26]])).tolist() == [[0, 0, 1]]
    classes[1]["id"] = 8
    describe(folder_root, classes=classes)
    assert message(folder_root).endswith("given to two classes: 8")


def test_endings_and_lists_of_names(folder_root: Path) -> None:
    one = folder_root / "all"
    one.mkdir()
    for kind, ending in (("frames", "_rgb.png"), ("labels", "_ids.png")):
        for split in ("train", "val"):
            for file in (folder_root / kind / split).iterdir():
                file.rename(one / f"{split}{file.stem}{ending}")
    (folder_root / "train.txt").write_text("train0\n\ntrain1\n")
    (folder_root / "val.txt").write_text("val0\n")
    split = {"images": "all", "masks": "all", "image_ending": "_rgb.png", "mask_ending": "_ids.png"}
    describe(folder_root, splits={s: {**split, "names": f"{s}.txt"} for s in ("train", "val")})
    dataset = open_dataset(folder_root)
    assert [p.mask.name for p in dataset.pairs("train")] == ["train0_ids.png", "train1_ids.png"]
    assert len(dataset.pairs("val")) == 1 and not dataset.unpaired
    (folder_root / "val.txt").write_text("val0\nval9\n")
    with pytest.raises(UsageError, match="val.txt: 1 names of no frame in .*all, such as 'val9'"):
        open_dataset(folder_root)
    (folder_root / "val.txt").unlink()
    assert "splits.val.names: received 'val.txt': no such file" in message(folder_root)


def test_lossy_masks_are_named(folder_root: Path) -> None:
    for mask in (folder_root / "labels/train").iterdir():
        mask.rename(mask.with_suffix(".jpg"))
    with pytest.raises(UsageError, match=r"0.jpg: splits.train.masks: JPEG and WebP change the"):
        open_dataset(folder_root)


def test_all_errors_come_at_once_with_field_value_and_nearest_name(folder_root: Path) -> None:
    (folder_root / "dataset.yaml").write_text("""
masks: colour
clases: []
classes:
  - {name: road, color: [128, 64, 300]}
  - {name: car, color: [0, 0], catgory: vehicle}
splits:
  train: {images: frames/trian, masks: labels/train}
  val: {masks: labels/val}
""")
    assert message(folder_root).split("; ") == [
        "masks: received 'colour'",
        "did you mean 'color'?",
        "classes.0.color.0.2: received 300: Input should be less than or equal to 255",
        "classes.1.color.0.2 is missing",
        "classes.1.catgory: no such field",
        "did you mean 'category'?",
        f"splits.train.images: received 'frames/trian': no such folder in {folder_root}",
        "splits.val.images is missing",
        "clases: no such field",
        "did you mean 'classes'?",
    ]


def test_names_that_no_file_can_have(folder_root: Path) -> None:
    describe(folder_root, splits={"val": {"images": "a" * 5000}})
    assert "splits.val.images: received 'aaa" in message(folder_root)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"classes": [], "ignore_label": None}, "classes: received []: List should have at least"),
        ({"classes": [{"name": "a", "color": [0, 0, 9]}]}, "one class alone; name the rest as"),
        ({"splits": {}}, "splits: Dictionary should have at least 1 item"),
        ({"masks": "index"}, "ignore_label: received [0, 0, 0]: is also the value of a class"),
        ({"ignore_label": "black"}, "ignore_label: received 'black': an RGB color or a list"),
        ({"masks": "index", "ignore_label": 256}, "ignore_label: received 256: an id, 0..255, or"),
        ({"ignore_label": [0, 0, 142]}, "ignore_label: received [0, 0, 142]: is also the value"),
        (
            {
                "classes": [
                    {"name": "road", "color": [1, 2, 3]},
                    {"name": "car", "color": [1, 2, 3]},
                ]
            },
            "given to two classes: (1, 2, 3)",
        ),
        (
            {"classes": [{"name": "car", "color": [1, 2, 3]}, {"name": "car", "color": [4, 5, 6]}]},
            "given to two classes: car",
        ),
        (
            {"masks": "index", "classes": [INDEX_CLASSES[0], INDEX_CLASSES[1] | {"id": 0}]},
            "given to two classes: 0",
        ),
        ({"classes": INDEX_CLASSES}, "color masks have no ids"),
    ],
)
def test_values_that_contradict(
    changes: dict[str, object], expected: str, folder_root: Path
) -> None:
    describe(folder_root, **changes)
    assert expected in message(folder_root)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "holds no fields; masks, classes, ignore_label, splits are needed"),
        ("- a\n- b", "holds no fields;"),
        ("masks: [index", "not YAML: while parsing a flow sequence"),
        ("masks: \x00", "not YAML: unacceptable character"),
        ("masks: 2026-13-01", "not YAML: month must be in 1..12"),
    ],
)
def test_what_is_no_description(text: str, expected: str, folder_root: Path) -> None:
    (folder_root / "dataset.yaml").write_text(text)
    assert message(folder_root).startswith(expected)


def test_the_example_at_the_head_of_the_module_works(folder_root: Path) -> None:
    from asap_tf.data import folder

    assert folder.__doc__ is not None
    _, *example = folder.__doc__.split("\n\n")
    (folder_root / "dataset.yaml").write_text(example[0])
    assert [c.name for c in open_dataset(folder_root).classes] == ["road", "car"]
