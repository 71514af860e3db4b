from __future__ import annotations

import json
import os
import subprocess
import sys
import time

import pytest

from asap_tf.core.errors import AsapError
from asap_tf.core.files import hidden, remove_leftovers, write_json, written_whole


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


@pytest.mark.parametrize("name", [*("x" * n + ".png" for n in range(243, 252)), "é" * 125 + ".png"])
def test_names_as_long_as_the_file_system_allows(tmp_path, name):
    with written_whole(tmp_path / name) as aside:
        assert aside.suffix == ".png"
        aside.write_text("new")
    assert (tmp_path / name).read_text() == "new"
    with written_whole(tmp_path / f"x.{'y' * 253}") as aside:
        aside.write_text("new")
    others = {hidden(tmp_path / f"{name[:-5]}{i}.png", "tag") for i in range(9)}
    assert len(others) == 9


def test_leftovers_of_a_kill(tmp_path):
    names = ("a.png", "b.png", "c", "d")
    old, new, folder, growing = (hidden(tmp_path / name, 321) for name in names)
    others = [tmp_path / ".notes.2024.txt", tmp_path / "a.png", hidden(tmp_path / "x", "export")]
    for path in (folder, growing):
        path.mkdir()
    for file in (old, new, folder / "000000.png", growing / "000000.png", *others):
        file.write_text("half")
    for path in (old, folder, folder / "000000.png", growing):
        os.utime(path, (time.time() - 4000,) * 2)
    remove_leftovers(tmp_path, 3600)
    assert set(tmp_path.iterdir()) == {new, growing, *others}
    remove_leftovers(tmp_path)
    assert set(tmp_path.iterdir()) == set(others)


def test_leftovers_of_a_process_that_has_ended_go_at_once(tmp_path):
    script = (
        "import os, sys; from pathlib import Path; from asap_tf.core.files import written_whole\n"
        "with written_whole(Path(sys.argv[1])) as aside: aside.touch(); os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", script, tmp_path / "a.png"], check=False)
    (left,) = tmp_path.iterdir()
    elsewhere = left.with_name(left.name.replace("@", "@another_machine_"))
    elsewhere.touch()
    with written_whole(tmp_path / "b.png") as mine:
        mine.touch()
        remove_leftovers(tmp_path, 3600)
        assert set(tmp_path.iterdir()) == {mine, elsewhere}
