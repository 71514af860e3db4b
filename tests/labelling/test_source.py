from __future__ import annotations

import hashlib
import os
from pathlib import Path

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from asap_tf.core.errors import UsageError
from asap_tf.data.images import BadFile
from asap_tf.labelling.source import Source


def paths(source: object) -> list[str | None]:
    return [found.path for found in Source(str(source)).inputs()]


def test_a_folder_is_its_images_and_those_of_its_subfolders_in_order(frames, tmp_path, caplog):
    folder = tmp_path / "frames"
    (folder / "0003.d").mkdir()
    for name in ("0003.d/x.JPG", "0003.d/.hidden.png", ".git/a.png", "notes.txt", "a.mp4"):
        (folder / name).parent.mkdir(exist_ok=True)
        Image.new("RGB", (8, 8)).save(folder / name, format="PNG")
    (folder / "0003.d" / "back").symlink_to(folder)
    expected = [str(f) for f in frames]
    expected.insert(3, str(folder / "0003.d" / "x.JPG"))
    assert paths(folder) == expected
    # Two hidden ones, the notes, the video and the link.
    assert caplog.messages == [f"{folder}: passed over 5 hidden or other files"]
    assert Source(str(folder)).digest() is None


def test_a_name_of_no_encoding(tmp_path):
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.png")).touch()
    with pytest.raises(UsageError, match=r"/\\udcff.png: its name is not text in UTF-8"):
        paths(tmp_path)


def test_a_folder_that_cannot_be_read(frames, tmp_path, monkeypatch):
    source = Source(str(tmp_path))
    problem = PermissionError(13, "Permission denied", "/store/deep")
    monkeypatch.setattr(source._files, "ls", lambda *_, **__: (_ for _ in ()).throw(problem))
    with pytest.raises(UsageError, match=r"^/store/deep: cannot be read \(Permission denied\)"):
        list(source.inputs())


def test_a_folder_of_a_store(frames):
    store = fsspec.filesystem("memory")
    for name in ("b.png", "deep/a.png", "deep/a.txt"):
        store.pipe_file(f"/store/{name}", b"x")
    assert paths("memory://store") == ["memory:///store/b.png", "memory:///store/deep/a.png"]
    assert fsspec.open("memory:///store/b.png").open().read() == b"x"


def test_a_list_has_a_path_or_uri_a_line(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = "a.png\n\n/b/ü.png\r\ns3://store/c.png\na.png\n"
    (tmp_path / "list.txt").write_bytes(text.encode())
    expected = [str(tmp_path / "a.png"), "/b/ü.png", "s3://store/c.png", str(tmp_path / "a.png")]
    assert paths("list.txt") == expected
    source = Source("list.txt")
    assert source.name == str(tmp_path / "list.txt")
    assert source.digest() == hashlib.sha256(text.encode()).hexdigest()


def test_a_column_of_a_table_or_a_folder_of_tables(tmp_path):
    table = tmp_path / "frames.parquet"
    pq.write_table(pa.table({"path": ["/a.png", None, "s3://b.png"], "id": [1, 2, 3]}), table)
    assert paths(f"{table}:path") == ["/a.png", None, "s3://b.png"]
    folder = tmp_path / "all.parquet"
    folder.mkdir()
    for i in (1, 0):
        pq.write_table(pa.table({"path": [f"/{i}.png"]}), folder / f"{i}.parquet")
    assert paths(f"{folder}:path") == ["/0.png", "/1.png"]


def test_a_video_is_its_frames_by_number(drive):
    found = list(Source(str(drive)).inputs())
    assert found == [(str(drive), i) for i in range(11)]


def test_a_video_that_breaks_off(drive):
    drive.write_bytes(drive.read_bytes()[:600])
    with pytest.raises(BadFile, match="drive.mp4"):
        list(Source(str(drive)).inputs())


def test_mistakes(frames, tmp_path):
    empty, table = tmp_path / "empty", tmp_path / "t.parquet"
    empty.mkdir()
    pq.write_table(pa.table({"path": ["a"], "id": [1]}), table)
    (tmp_path / "list.txt").write_text("\n\n")
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00\xd8")
    (tmp_path / "no.parquet").write_text("x")
    for source, message in [
        (tmp_path / "none", "no such folder"),
        (empty, "no images in this folder"),
        (tmp_path / "list.txt", "is empty"),
        (tmp_path / "binary", "not text in UTF-8"),
        (frames[0], "asap-tf predict labels it"),
        (table, "say which column"),
        (f"{table}:paht", "did you mean 'path'"),
        (f"{table}:id", "the column holds int64"),
        (f"{tmp_path / 'no.parquet'}:path", "not a Parquet table"),
        ("nowhere://store", "of the scheme nowhere"),
        ("memory://drive.mp4", "no such folder"),
    ]:
        with pytest.raises(UsageError, match=message) as error:
            list(Source(str(source)).inputs())
        assert "\n" not in str(error.value) and os.fspath(source).split(":")[0] in str(error.value)
