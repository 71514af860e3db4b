"""Paths in lists and tables that fsspec would follow anywhere."""

from __future__ import annotations

import json
import os
import zipfile

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from asap_tf.core.errors import UsageError
from asap_tf.labelling.folder import LabelFolder, LabelJob
from asap_tf.labelling.source import Input, Source
from asap_tf.labelling.worker import Labeler, model_hash


@pytest.fixture
def read(artifact, tmp_path):
    """Reads an input as a worker does."""
    listed, out = tmp_path / "list.txt", tmp_path / "out"
    listed.write_text("a.png\n")
    frames = Source(str(listed))
    job = LabelJob(frames.name, frames.digest(), model_hash(str(artifact)), "png", 64)
    out.mkdir()
    LabelFolder(out).start(job, frames.inputs())
    labeler = Labeler(str(out), str(artifact), 1)
    return lambda path: labeler.read(Input(path))


@pytest.fixture
def template(tmp_path):
    """References that fsspec before 2026.6 renders by jinja2, which calls what they say."""
    call = "{{ ''.__class__.__mro__[1].__subclasses__() }}"
    file = tmp_path / "references.json"
    content = {"version": 1, "templates": {"u": call}, "refs": {"a.png": ["{{u}}", 0, 1]}}
    file.write_text(json.dumps(content))
    return file


@pytest.fixture
def frame(tmp_path):
    Image.new("RGB", (64, 32), (1, 2, 3)).save(tmp_path / "a.png")
    return tmp_path / "a.png"


def strange_paths(template, frame):
    archive = frame.with_name("a.zip")
    with zipfile.ZipFile(archive, "w") as file:
        file.write(frame, "a.png")
    return [
        f"reference://a.png::file://{template}",
        f"reference://{template}",
        f"zip://a.png::{archive}",
        f"zip://a.png::file://{archive}",
        f"simplecache::file://{frame}",
        f"filecache::file://{frame}",
        f"local://{frame}",
        f"dir://{frame.parent}",
        "data:image/png;base64,://",
        "git://x/a.png",
        "ssh://x/a.png",
        "github://a:b@/a.png",
        "\x1b]0;x\x07://a.png",
    ]


def test_lines_of_a_list_are_no_programs(read, template, frame):
    for path in (str(frame), f"file://{frame}"):
        assert read(path).pixels.shape == (32, 64, 3)
    for path in strange_paths(template, frame):
        reason = read(path)
        assert isinstance(reason, str) and reason.isprintable(), path
        assert "of the scheme" in reason or "a chain of stores" in reason, reason


def test_nor_is_a_source(template, frame):
    for path in strange_paths(template, frame):
        with pytest.raises(UsageError, match="of the scheme|a chain of stores") as refusal:
            Source(path)
        assert str(refusal.value).isprintable()


def test_a_file_without_an_end(read, monkeypatch):
    monkeypatch.setattr("asap_tf.labelling.worker._LARGEST_FRAME", 1000)
    store = fsspec.filesystem("memory")
    store.pipe_file("/large.png", bytes(2000))
    assert "larger than" in read("memory://large.png")


def test_local_files_that_are_none(read, tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    for path in (tmp_path / "pipe.png", "/dev/zero", "/dev/stdin", tmp_path, f"{tmp_path}/\0.png"):
        assert isinstance(read(str(path)), str)


def test_a_pipe_among_inputs_of_predict(artifact, asap, tmp_path, caplog):
    folder = tmp_path / "frames"
    folder.mkdir()
    os.mkfifo(folder / "a.mp4")
    Image.new("RGB", (64, 32)).save(folder / "b.png")
    told = asap("predict", artifact, folder / "a.mp4", "--out", tmp_path / "one")
    assert told.code == 2 and "a.mp4: neither a regular file nor a folder" in told.err
    done = asap("predict", artifact, folder, "--out", tmp_path / "all")
    assert done.code == 0 and "no regular files, or of the results), first a.mp4" in caplog.text
    assert [file.name for file in (tmp_path / "all").iterdir()] == ["b.png"]


def test_a_line_without_an_end(tmp_path):
    (tmp_path / "list").write_text("x" * 10_000_000)
    with pytest.raises(UsageError, match="a line is too long"):
        list(Source(str(tmp_path / "list")).inputs())


def test_names_that_steer_a_terminal(tmp_path):
    with pytest.raises(UsageError) as refusal:
        Source(f"{tmp_path}/\x1b]0;x\x07\n.txt")
    assert str(refusal.value).isprintable()
    table = tmp_path / "t.parquet"
    pq.write_table(pa.table({"\x1b[2J\n": ["a"]}), table)
    with pytest.raises(UsageError) as refusal:
        list(Source(f"{table}:path").inputs())
    assert str(refusal.value).isprintable()
