from __future__ import annotations

from pathlib import Path

import pytest

from asap_tf.core.errors import AsapError
from asap_tf.data.dataset import Pair
from asap_tf.data.pairing import FRAME_ENDINGS, MASK_ENDINGS, find_files, match


def touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def test_files_are_found_by_ending_in_every_subfolder(tmp_path: Path) -> None:
    touch(tmp_path, "a.JPG", "deep/er/b.png", "c_mask.png", "d.txt", "._a.jpg", ".hidden.png")
    assert find_files(tmp_path, (".jpg", "_mask.png")) == {
        "a": [tmp_path / "a.JPG"],
        "c": [tmp_path / "c_mask.png"],
    }
    assert find_files(tmp_path, (".png",)).keys() == {"deep/er/b", "c_mask"}
    assert find_files(tmp_path / "absent", (".png",)) == {}


def test_links_in_circles_end_and_other_links_are_followed(tmp_path: Path) -> None:
    touch(tmp_path, "top/a.png", "top/in/b.png", "aside/c.png")
    top, aside = tmp_path / "top", tmp_path / "aside"
    (top / "in" / "up").symlink_to(top)
    (top / "itself").symlink_to(".")
    (top / "aside").symlink_to(aside)
    (aside / "back").symlink_to(top / "in")
    (aside / "round").symlink_to(aside)
    (top / "nowhere").symlink_to(top / "nowhere")
    found = find_files(top, (".png",))
    assert found.keys() == {"a", "in/b", "aside/c", "aside/back/b"}


def test_ten_thousand_files(tmp_path: Path) -> None:
    names = [f"{i:05d}" for i in range(10_000)]
    for folder in ("i", "m"):
        (tmp_path / folder).mkdir()
        for name in names:
            (tmp_path / folder / f"{name}.png").touch()
    images, masks = (find_files(tmp_path / folder, (".png",)) for folder in ("i", "m"))
    pairs, alone = match(images, masks)
    assert [p.image.stem for p in pairs] == [p.mask.stem for p in pairs] == names and not alone


def test_pairs_are_sorted_and_the_rest_stands_alone(tmp_path: Path) -> None:
    touch(tmp_path, "i/b.jpg", "i/a.png", "i/z/a.png", "i/only.png", "m/a.png", "m/b.png")
    touch(tmp_path, "m/z/a.png", "m/spare.png", "m/only.jpg")
    images = find_files(tmp_path / "i", FRAME_ENDINGS)
    pairs, alone = match(images, find_files(tmp_path / "m", MASK_ENDINGS))
    i, m = tmp_path / "i", tmp_path / "m"
    assert pairs == (
        Pair(i / "a.png", m / "a.png"),
        Pair(i / "b.jpg", m / "b.png"),
        Pair(i / "z/a.png", m / "z/a.png"),
    )
    assert alone == (i / "only.png", m / "spare.png")


def test_two_frames_of_one_name_are_not_guessed_at(tmp_path: Path) -> None:
    touch(tmp_path, "i/a.jpg", "i/a.png", "m/a.png")
    images = find_files(tmp_path / "i", FRAME_ENDINGS)
    pairs, alone = match(images, find_files(tmp_path / "m", MASK_ENDINGS))
    assert pairs == ()
    assert alone == (tmp_path / "i/a.jpg", tmp_path / "i/a.png", tmp_path / "m/a.png")


def test_a_folder_that_cannot_be_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(path: str) -> None:
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr("os.scandir", denied)
    with pytest.raises(AsapError, match=r": the folder cannot be listed \(Permission denied\)"):
        find_files(tmp_path, (".png",))
