from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import cv2
import fsspec
import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

import asap_tf
from asap_tf.core.errors import AsapError
from asap_tf.data.frames import TRANSPARENT
from asap_tf.labelling import folder as folders
from asap_tf.labelling import worker as workers
from asap_tf.labelling.folder import LabelFolder, LabelJob
from asap_tf.labelling.source import Input
from asap_tf.labelling.worker import Labeler, LabelWorker, model_hash


@pytest.fixture
def started(tiny_artifact, tmp_path):
    """Starts a folder with some inputs; returns it, its job, and a worker."""

    def start(inputs, format="png", block=4) -> tuple[LabelFolder, LabelJob, Labeler]:
        folder = LabelFolder(tmp_path / "out")
        folder.path.mkdir()
        classes = tuple(f"c{i}" for i in range(5))
        job = LabelJob("x", None, model_hash(str(tiny_artifact)), format, block, classes=classes)
        job = folder.start(job, iter(inputs))
        return folder, job, Labeler(str(folder.path), str(tiny_artifact), 1)

    return start


def expected(model: Path, *paths: Path) -> list[np.ndarray]:
    segmenter = asap_tf.load(model)
    return [segmenter.predict(np.asarray(Image.open(p))[None])[0] for p in paths]


def read(folder: LabelFolder) -> list[dict]:
    return pq.read_table(folder.manifest).to_pylist()


@pytest.mark.parametrize("format", ["png", "parquet"])
def test_every_input_ends_once_labeled_or_failed(started, tiny_artifact, frames, tmp_path, format):
    (tmp_path / "bad.png").write_text("x")
    clear = Image.open(frames[1]).convert("RGBA")
    clear.putpixel((0, 0), (0, 0, 0, 0))
    clear.save(tmp_path / "clear.png")
    large = tmp_path / "large.png"
    Image.fromarray(np.random.default_rng(1).integers(0, 256, (50, 70, 3), np.uint8)).save(large)
    fsspec.filesystem("memory").pipe_file("/frames/a.png", frames[0].read_bytes())
    names = [frames[0], tmp_path / "bad.png", frames[1], large, tmp_path / "none.png"]
    names += [tmp_path / "clear.png", frames[0], "memory:///frames/a.png", "nowhere://a.png", "a\0"]
    inputs = [*(Input(str(name)) for name in names), Input(None)]
    folder, job, worker = started(inputs, format)
    assert [worker.label(block) for block in (2, 0, 1)] == [3, 4, 4]
    assert not folder.pending(job).size
    assert folder.merge(job) == {"labelled": 6, "failed": 5}
    rows = read(folder)
    assert [(row["number"], row["path"]) for row in rows] == [
        (i, found.path) for i, found in enumerate(inputs)
    ]
    black = np.asarray(Image.open(frames[1])).copy()
    black[0, 0] = 0
    Image.fromarray(black).save(tmp_path / "black.png")
    shown = [*frames[:2], large, tmp_path / "black.png", frames[0], frames[0]]
    wanted = dict(zip((0, 2, 3, 5, 6, 7), expected(tiny_artifact, *shown), strict=True))
    for row in rows:
        assert row["model"] == job.model
        if row["number"] not in wanted:
            assert (row["state"], row["file"], row["share"]) == ("failed", None, None)
            continue
        labels = wanted[row["number"]]
        assert row["reason"] == (TRANSPARENT if row["number"] == 5 else None)
        if format == "png":
            found = np.asarray(Image.open(folder.path / row["file"]))
        else:
            shard = pq.read_table(folder.path / row["file"]).to_pylist()
            (png,) = (r["labels"] for r in shard if r["number"] == row["number"])
            found = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_UNCHANGED)
        np.testing.assert_array_equal(found, labels)
        assert (row["height"], row["width"]) == labels.shape
        np.testing.assert_allclose(row["share"], [np.mean(labels == i) for i in range(5)])
    reasons = [row["reason"] for row in rows if row["state"] == "failed"]
    parts = ("not an image", "no such file", "scheme nowhere", "null", "no path")
    for reason, part in zip(reasons, parts, strict=True):
        assert part in reason
    assert json.loads(pq.read_schema(folder.manifest).metadata[b"classes"])[4] == "c4"


def test_a_video_is_labeled_by_workers_that_each_take_some_blocks(started, tiny_artifact, drive):
    folder, job, first = started([Input(str(drive), i) for i in range(11)], block=3)
    second = Labeler(str(folder.path), str(tiny_artifact), 1)
    for worker, block in ((first, 0), (second, 1), (first, 3), (second, 2)):
        worker.label(block)
    assert folder.merge(job) == {"labelled": 11, "failed": 0}
    capture, segmenter = cv2.VideoCapture(str(drive)), asap_tf.load(tiny_artifact)
    for i, row in enumerate(read(folder)):
        frame = cv2.cvtColor(capture.read()[1], cv2.COLOR_BGR2RGB)
        assert (row["path"], row["frame"]) == (str(drive), i)
        found = np.asarray(Image.open(folder.path / row["file"]))
        np.testing.assert_array_equal(found, segmenter.predict(frame[None])[0])


def test_frames_of_a_size_share_the_batches_of_the_network(started, frames, tmp_path):
    (tmp_path / "bad.png").write_text("x")
    names = [*frames[:3], tmp_path / "bad.png", *frames[3:]]
    folder, job, worker = started([Input(str(n)) for n in names], block=8)
    predict, sizes = worker.segmenter.predict, []
    worker.segmenter.predict = lambda frames: (sizes.append(len(frames)), predict(frames))[1]
    worker.batch = 4
    worker.label(0)
    assert sizes == [4, 3]
    assert [r["number"] for r in pq.read_table(folder.shard(0)).to_pylist()] == list(range(8))


def test_a_block_that_is_done_is_not_done_again(started, frames):
    folder, job, worker = started([Input(str(f)) for f in frames])
    worker.label(0)
    before = folder.shard(0).stat().st_mtime_ns
    worker.segmenter = None
    assert worker.label(0) == 4
    assert folder.shard(0).stat().st_mtime_ns == before


def test_a_block_that_kills_its_workers_is_named_after_some_tries(started, frames, monkeypatch):
    folder, job, worker = started([Input(str(f)) for f in frames])
    monkeypatch.setattr(folders, "_TRIES", 2)
    for _ in range(2):
        folder.mark_started(1)  # by a worker that dies then
    with pytest.raises(AsapError, match=r"2 workers have died over block 1, .*0004.png to .*0006"):
        worker.label(1)
    worker.label(0)
    assert folder.mark_started(0).stat().st_size == 1


def test_a_store_that_fails_for_the_moment_is_asked_again(started, frames, monkeypatch):
    monkeypatch.setattr(workers, "_PAUSES", (0.0, 0.0))
    tries = []

    def fetch(uri, mode):
        tries.append(uri)
        if len(tries) < 3:
            raise ConnectionResetError("reset")
        return frames[0].open(mode)

    monkeypatch.setattr(workers.fsspec, "open", fetch)
    _, _, worker = started([Input("s3://frames/a.png")])
    assert worker.read(Input("s3://frames/a.png")).pixels.shape == (32, 64, 3)
    assert len(tries) == 3
    tries[:] = []
    monkeypatch.setattr(workers, "_PAUSES", (0.0,))
    assert worker.read(Input("s3://frames/a.png")) == "cannot be read (reset)"


@pytest.mark.parametrize(
    ("status", "final"), [(None, True), (404, True), (503, False), (ConnectionError, False)]
)
def test_what_a_store_says_is_not_there_may_be_for_now(status, final):
    error = FileNotFoundError("http://frames/a.png")
    if status is ConnectionError:
        error.__cause__ = ConnectionError("reset")
    elif status:
        error.__cause__ = Exception()
        error.__cause__.status = status
    assert workers.is_final(error) == final


def test_a_store_whose_package_is_missing_ends_it(started, monkeypatch):
    def fetch(uri, mode):
        raise ImportError("Install s3fs to access S3")

    monkeypatch.setattr(workers.fsspec, "open", fetch)
    _, _, worker = started([Input("s3://frames/a.png")])
    with pytest.raises(AsapError, match="s3://frames/a.png: Install s3fs"):
        worker.label(0)


def test_another_model_at_the_same_place_is_refused(started, tiny_artifact, frames, tmp_path):
    folder, job, _ = started([Input(str(f)) for f in frames])
    (folder.path / "job.json").write_text(
        (folder.path / "job.json").read_text().replace(job.model, "0" * 64)
    )
    with pytest.raises(AsapError, match="not the model"):
        Labeler(str(folder.path), str(tiny_artifact), 1)
    with pytest.raises(AsapError, match="has to be shared"):
        Labeler(str(tmp_path / "elsewhere"), str(tiny_artifact), 1)
    late = LabelWorker(str(folder.path), str(tiny_artifact), 1)
    with pytest.raises(AsapError, match="not the model"):
        late({"data": np.array([0])})


def test_long_names_fit_a_file_system(started, frames, tmp_path):
    long = tmp_path / f"{'街' * 83}.png"
    long.write_bytes(frames[0].read_bytes())
    folder, job, worker = started([Input(str(long))])
    worker.label(0)
    assert folder.merge(job) == {"labelled": 1, "failed": 0}


def test_a_disk_that_cannot_be_written_to_ends_it(started, frames):
    folder, job, worker = started([Input(str(f)) for f in frames])
    (folder.path / "shards").write_text("a file in the way")
    with pytest.raises(AsapError, match="000000000.parquet: cannot be written"):
        worker.label(0)


def test_merging_names_the_shard_that_is_damaged_or_not_ours(started, frames):
    folder, job, worker = started([Input(str(f)) for f in frames])
    for block in range(2):
        worker.label(block)
    whole = folder.shard(1).read_bytes()
    folder.shard(1).write_bytes(whole[:-100])
    with pytest.raises(AsapError, match="000000001.parquet: damaged"):
        folder.merge(job)
    folder.shard(1).write_bytes(folder.shard(0).read_bytes())
    with pytest.raises(AsapError, match="000000001.parquet: of another labeling"):
        folder.merge(job)
    assert not folder.manifest.exists()
    folder.shard(1).write_bytes(whole)
    assert folder.merge(job) == {"labelled": 7, "failed": 0}


def test_a_manifest_of_many_groups_of_rows(started, frames, monkeypatch):
    monkeypatch.setattr(folders, "_ROWS", 4)
    folder, job, worker = started([Input(str(f)) for f in frames], block=2)
    for block in range(4):
        worker.label(block)
    folder.merge(job)
    assert pq.ParquetFile(folder.manifest).num_row_groups == 2
    assert [r["number"] for r in read(folder)] == list(range(7))


def test_fingerprint_does_not_depend_on_the_name(tiny_artifact, tmp_path):
    copy = tmp_path / "copy.tflite"
    copy.write_bytes(tiny_artifact.read_bytes())
    assert model_hash(str(copy)) == model_hash(str(tiny_artifact))
    assert replace(LabelJob("", None, "", "png", 4), count=9).blocks == 3
