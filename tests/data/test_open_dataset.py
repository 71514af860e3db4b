from __future__ import annotations

from pathlib import Path

import pytest

from asap_tf.core.errors import UsageError
from asap_tf.data import KINDS, open_dataset


@pytest.mark.parametrize("kind", KINDS)
def test_the_kind_is_told_by_the_layout(kind: str, request: pytest.FixtureRequest) -> None:
    root = request.getfixturevalue(f"{kind}_root")
    found, named = open_dataset(str(root)), open_dataset(root, kind)
    assert found.kind == named.kind == kind
    assert found.splits == named.splits
    assert found.unpaired == ()
    assert found.pairs("train")[0].image.is_file()
    assert found.palette.shape == (len(found.classes), 3)


def test_a_description_goes_before_any_layout(folder_root: Path) -> None:
    (folder_root / "leftImg8bit").mkdir()
    assert open_dataset(folder_root).kind == "folder"


def test_pairs_names_an_unknown_and_an_empty_split(camvid_root: Path) -> None:
    for path in [*(camvid_root / "val").iterdir(), *(camvid_root / "valannot").iterdir()]:
        path.unlink()
    dataset = open_dataset(camvid_root)
    with pytest.raises(UsageError, match="no split 'trian'; did you mean 'train'"):
        dataset.pairs("trian")
    with pytest.raises(UsageError, match="split 'val' holds no frames"):
        dataset.pairs("val")


@pytest.mark.parametrize(
    ("root", "arguments", "message"),
    [
        ("absent", {}, "absent: no such folder"),
        ("a" * 5000, {}, "a: no such folder"),
        ("file", {}, "file: is a file, not the folder of a dataset"),
        ("bare", {}, "bare: not the layout of a known dataset; looked for dataset.yaml"),
        ("bare", {"kind": "camvdi"}, "unknown kind of dataset 'camvdi'; did you mean 'camvid'?"),
        ("bare", {"annotations": "corse"}, "unknown annotations 'corse'; did you mean 'coarse'?"),
        (
            "bare",
            {"kind": "camvid", "annotations": "coarse"},
            "annotations 'coarse' are Cityscapes' own",
        ),
        ("bare", {"kind": "camvid"}, "bare: none of the folders of frames train, val, test"),
        ("bare", {"kind": "cityscapes"}, "leftImg8bit: none of train, val, test is there"),
        ("bare", {"kind": "bdd100k"}, "bare: not laid out as BDD100K; looked for images/10k"),
        ("bare", {"kind": "folder"}, "dataset.yaml: cannot be read (No such file or directory)"),
    ],
)
def test_what_cannot_be_opened_is_said_in_one_line(
    root: str, arguments: dict[str, str], message: str, tmp_path: Path
) -> None:
    (tmp_path / "bare").mkdir()
    (tmp_path / "file").touch()
    with pytest.raises(UsageError) as error:
        open_dataset(tmp_path / root, **arguments)
    assert message in str(error.value)
    assert "\n" not in str(error.value)
