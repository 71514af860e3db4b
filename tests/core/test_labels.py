from __future__ import annotations

import pytest

from asap_tf.core.errors import UsageError
from asap_tf.core.labels import LabelClass, relate

DATA = [LabelClass(name, (0, 0, 0), name, 0) for name in ("road", "vehicle", "bike", "void")]
MODEL = [LabelClass(name, (0, 0, 0), name, 0) for name in ("car", "bus", "bicycle", "road", "sky")]


def test_classes_of_the_same_name_without_a_table():
    table = relate(DATA, MODEL)
    assert table.groups == ((3,), (), (), ())
    assert table.names() == {"road": ["road"]}
    assert table.summary().splitlines() == ["road  road", "left out: vehicle, bike, void"]
    assert not table.is_identity
    assert relate(MODEL, MODEL).is_identity
    assert not relate(MODEL, MODEL[::-1]).is_identity


def test_a_class_may_be_several_and_belongs_to_one_or_none():
    names = {"road": ["road"], "vehicle": ["bus", "car", "bicycle"], "bike": ["bicycle"]}
    table = relate(DATA, MODEL, names)
    assert table.groups == ((3,), (0, 1, 2), (2,), ())
    assert table.owners == [1, 1, None, 0, None]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ({"raod": ["road"]}, "the data has no class 'raod'; did you mean 'road'"),
        ({"road": ["raod"]}, "road: the model has no class 'raod'; did you mean 'road'"),
        ({"road": []}, "no class of the data .* `table`"),
    ],
)
def test_names_of_no_class(names, message):
    with pytest.raises(UsageError, match=message):
        relate(DATA, MODEL, names)
