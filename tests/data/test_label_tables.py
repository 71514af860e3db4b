from __future__ import annotations

import numpy as np
import pytest

from asap_tf.core.errors import UsageError
from asap_tf.core.labels import LabelClass, relate
from asap_tf.data import bdd100k, camvid, cityscapes
from asap_tf.data.encodings import RelabeledEncoding, train_id_encoding
from asap_tf.data.label_tables import group_labels, load_table

IDD_LITE = "drivable,non-drivable,living thing,vehicle,roadside object,far object,sky".split(",")


def named(names):
    return tuple(LabelClass(name, (0, 0, 0), name, i) for i, name in enumerate(names))


@pytest.mark.parametrize(
    ("name", "classes"),
    [
        ("camvid", camvid.CLASSES),
        ("idd_lite", named(IDD_LITE)),
        ("bdd100k", bdd100k.CLASSES),
        ("cityscapes_ids", cityscapes.LABELS[:34]),
        ("cityscapes_categories", named(dict.fromkeys(c.category for c in cityscapes.CLASSES))),
    ],
)
def test_shipped_tables_give_every_class_of_cityscapes_one_place(name, classes):
    table = relate(classes, cityscapes.CLASSES, load_table(name))
    assert None not in table.owners
    if name == "cityscapes_ids":
        assert [classes[i] for i in table.owners] == list(cityscapes.CLASSES)
    elif name == "cityscapes_categories":
        assert [classes[i].name for i in table.owners] == [c.category for c in cityscapes.CLASSES]
    else:
        assert all(table.groups)


def test_a_table_of_the_users(tmp_path):
    file = tmp_path / "own.yaml"
    file.write_text("vehicle: [car, bus]\nroad: road\n")
    assert load_table(file) == {"vehicle": ("car", "bus"), "road": ("road",)}
    assert load_table(str(file)) == load_table(file)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[", "cannot be read as YAML"),
        ("- road", "maps names of classes"),
        ("", "maps names of classes"),
        ("road: {a: b}", "road=.*a name, or a list of names"),
        ("yes: road", "a name, or a list of names"),
        ("road: [1]", "a name, or a list of names"),
    ],
)
def test_tables_that_are_none(tmp_path, text, message):
    file = tmp_path / "own.yaml"
    file.write_text(text)
    with pytest.raises(UsageError, match=message) as error:
        load_table(file)
    assert str(file) in str(error.value)


def test_an_unknown_table_names_the_nearest():
    with pytest.raises(UsageError, match="camvdi: no such label table; did you mean 'camvid'"):
        load_table("camvdi")


def test_masks_of_two_datasets_as_labels_of_one_network():
    targets = named(["road", "car", "bus", "bicycle"])
    tables = [
        relate(targets, targets),
        relate(named("abc"), targets, {"a": ["car", "bus"], "c": ["road"]}),
        relate(named("xy"), targets, {"x": ["bicycle", "car"], "y": ["bus", "car"]}),
    ]
    groups, labels = group_labels(tables)
    assert groups == ((1, 2), (1, 3))
    own = np.random.default_rng(0).choice(np.uint8([0, 1, 255]), (9, 7))
    meant = [{0: 0, 1: 1, 255: 255}, {0: 4, 1: 255, 255: 255}, {0: 5, 1: 4, 255: 255}]
    for label, meaning in zip(labels, meant, strict=True):
        encoding = RelabeledEncoding(train_id_encoding(2), label)
        decoded = encoding.decode(own)
        assert encoding.mode == "L" and decoded.dtype == np.uint8
        assert decoded.tolist() == [[meaning[value] for value in row] for row in own.tolist()]


def test_more_groups_than_labels():
    targets = named(map(str, range(250)))
    tables = [relate(named("a"), targets, {"a": ["0", str(i)]}) for i in range(1, 7)]
    assert len(group_labels(tables[:5])[0]) == 5
    with pytest.raises(UsageError, match="250 classes and 6 groups"):
        group_labels(tables)


@pytest.mark.parametrize("name", ["x" * 5000, "\0", ""])
def test_names_of_no_file(name):
    with pytest.raises(UsageError, match="no such label table"):
        load_table(name)
