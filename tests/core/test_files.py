from __future__ import annotations

import json

import pytest

from asap_tf.core.errors import AsapError
from asap_tf.core.files import write_json, written_whole


def test_appears_whole_under_its_name(tmp_path):
    target = tmp_path / "a.json"
    target.write_text("old")
    with written_whole(target) as aside:
        assert aside.suffix == ".json" and aside.parent == tmp_path
        aside.write_text("new")
        assert target.read_text() == "old"
    assert target.read_text() == "new" and list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize("folder", [False, True])
def test_failure_leaves_nothing(tmp_path, folder):
    with pytest.raises(RuntimeError), written_whole(tmp_path / "x") as aside:
        aside.mkdir() if folder else aside.write_text("half")
        raise RuntimeError
    assert not list(tmp_path.iterdir())


def test_json_appears_whole_or_not_at_all(tmp_path):
    target = tmp_path / "a.json"
    write_json(target, {"miou": 0.5})
    with pytest.raises(TypeError):
        write_json(target, {"miou": object()})
    assert json.loads(target.read_text()) == {"miou": 0.5} and list(tmp_path.iterdir()) == [target]
    with pytest.raises(AsapError, match=r"b.json: cannot be written"):
        write_json(tmp_path / "no" / "b.json", {})
