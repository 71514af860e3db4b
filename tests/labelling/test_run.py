"""One Ray session for all of these, since it takes some seconds to start."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

import asap_tf
from asap_tf.core.errors import AsapError, UsageError
from asap_tf.core.signals import Stop, stop_on_signals
from asap_tf.labelling.cluster import Resources, ray_session, rows_until_stopped
from asap_tf.labelling.folder import LabelFolder, LabelJob
from asap_tf.labelling.run import label
from asap_tf.labelling.source import Source
from asap_tf.labelling.worker import Labeler, model_hash
from support.label_processes import is_alive, labelers, manifest_faults

COUNT, BLOCK = 150, 5


@pytest.fixture(scope="module")
def session(tmp_path_factory):
    """Ray for two workers, as a caller of `label` may have started it."""
    with ray_session(tmp_path_factory.mktemp("ray"), Resources(2, threads=1)) as ray:
        yield ray


def test_labels_are_not_written_into_their_source(tiny_artifact, tmp_path):
    (tmp_path / "frames" / "labels").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "frames" / "labels")
    for out in (tmp_path / "frames" / "labels", tmp_path / "link"):
        with pytest.raises(UsageError, match="lies in the folder to label"):
            label(tiny_artifact, str(tmp_path / "frames"), out)


def test_nobody_else_can_enter_the_folder_of_ray(session):
    socket = Path(session.nodes()[0]["ObjectStoreSocketName"])
    (private,) = (folder for folder in socket.parents if folder.name.startswith("asap-tf-ray-"))
    assert private.stat().st_mode & 0o777 == 0o700


@pytest.fixture
def slow_frames(tmp_path):
    """Folder of noise, which takes long to decode; every tenth frame is damaged."""
    folder = tmp_path / "noise"
    folder.mkdir()
    rng, originals = np.random.default_rng(0), []
    for i in range(10):
        originals.append(tmp_path / f"{i}.png")
        noise = rng.integers(0, 256, (600, 800, 3), dtype=np.uint8)
        Image.fromarray(noise).save(originals[-1], compress_level=1)
    originals[7].write_bytes(originals[7].read_bytes()[:-100_000])
    for i in range(COUNT):
        os.link(originals[i % 10], folder / f"{i:04d}.png")
    return folder


def when_done(folder: LabelFolder, blocks: int, act) -> threading.Thread:
    """Acts once so many blocks are done."""

    def wait() -> None:
        while len(list(folder.path.glob("shards/*.parquet"))) < blocks:
            time.sleep(0.02)
        act()

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    return thread


def start(out: Path, model: Path, source: Path) -> None:
    """Starts a folder as `label` does."""
    frames = Source(str(source))
    model_id, classes = model_hash(str(model)), ("c",) * 5
    job = LabelJob(frames.name, frames.digest(), model_id, "png", 64, classes=classes)
    out.mkdir()
    LabelFolder(out).start(job, frames.inputs())


@pytest.mark.stress
def test_nothing_is_lost_or_doubled_whatever_is_killed(
    session, tiny_artifact, slow_frames, tmp_path
):
    out, resources = tmp_path / "out", Resources(2, threads=1)
    folder, rng = LabelFolder(out), random.Random(0)

    # The whole command, by signal 9.
    options = ["--out", out, "--workers", 2, "--threads", 1, "--block", BLOCK]
    asap = [sys.executable, "-m", "asap_tf.cli", "label"]
    command = subprocess.Popen([*asap, tiny_artifact, slow_frames, *map(str, options)])
    when_done(folder, 5, lambda: None).join()
    found = labelers(command.pid)
    assert len(found) == 2
    command.kill()
    assert command.wait() == -signal.SIGKILL
    assert not folder.manifest.exists()
    deadline = time.monotonic() + 30
    while any(map(is_alive, found)):
        assert time.monotonic() < deadline, "the workers outlive the command"
        time.sleep(0.1)
    done = {path: path.stat().st_mtime_ns for path in out.glob("shards/*.parquet")}
    assert 5 <= len(done) < COUNT // BLOCK

    # A worker.
    killed = []

    def kill() -> None:
        killed.append(rng.choice(labelers(os.getpid())))
        os.kill(killed[0], signal.SIGKILL)

    when_done(folder, len(done) + 4, kill)
    counts = label(tiny_artifact, str(slow_frames), out, resources, block=BLOCK)
    assert len(killed) == 1
    assert counts == {"labelled": COUNT - COUNT // 10, "failed": COUNT // 10}

    assert {path: path.stat().st_mtime_ns for path in done} == done
    assert manifest_faults(out, sorted(map(str, slow_frames.iterdir()))) == []
    segmenter = asap_tf.load(tiny_artifact)
    rows = pq.read_table(folder.manifest).to_pylist()
    expected = {}
    for i, row in enumerate(rows):
        if i % 10 == 7:
            assert "broken" in row["reason"]
            continue
        if i < 10:
            frame = np.asarray(Image.open(row["path"]))
            expected[i] = segmenter.predict(frame[None])[0]
        found = np.asarray(Image.open(out / row["file"]))
        np.testing.assert_array_equal(found, expected[i % 10])

    # What is done is done.
    assert label(tiny_artifact, str(slow_frames), out, resources, block=BLOCK) == counts


def test_when_nothing_could_be_labeled(tiny_artifact, tmp_path):
    listed, out = tmp_path / "list.txt", tmp_path / "out"
    listed.write_text("/none/a.png\n/none/b.png\n")
    start(out, tiny_artifact, listed)
    Labeler(str(out), str(tiny_artifact), 1).label(0)
    with pytest.raises(AsapError, match="none of the 2 inputs could be .*/none/a.png: no such"):
        label(tiny_artifact, str(listed), out)


def test_a_stop_takes_effect_while_the_workers_are_silent():
    class Results:
        def iter_rows(self):
            yield {"inputs": 5}
            threading.Event().wait()

    with stop_on_signals() as stop:
        rows = rows_until_stopped(Results(), stop)
        assert next(rows) == {"inputs": 5}
        os.kill(os.getpid(), signal.SIGTERM)
        assert list(rows) == []
    assert stop.requested == signal.SIGTERM


def test_an_error_of_a_worker_is_raised_as_it_was_there():
    class Results:
        def iter_rows(self):
            error = RuntimeError("a task failed")
            error.cause = AsapError("out/a.png: cannot be written (No space left on device)")
            raise error
            yield

    with pytest.raises(AsapError, match="No space left"):
        list(rows_until_stopped(Results(), Stop()))


def test_a_damaged_model_leaves_nothing_behind(session, tiny_artifact, frames, tmp_path):
    damaged = tmp_path / "damaged.tflite"
    damaged.write_bytes(tiny_artifact.read_bytes()[:-1000])
    with pytest.raises(AsapError, match=r"damaged\.tflite: "):
        label(damaged, str(tmp_path / "frames"), tmp_path / "out", Resources(threads=1))
    assert not (tmp_path / "out").exists()


def test_another_model_or_source_into_the_same_folder(tiny_artifact, frames, tmp_path):
    """Refused before Ray starts, as is a second command."""
    out, folder = tmp_path / "out", LabelFolder(tmp_path / "out")
    listed = tmp_path / "list.txt"
    listed.write_text("\n".join(map(str, frames)))
    start(out, tiny_artifact, listed)
    before = (out / "job.json").read_bytes()
    other = tmp_path / "other.tflite"
    other.write_bytes(tiny_artifact.read_bytes() + b"\0")
    for arguments, message in [
        ((other, str(listed), out), "another model"),
        ((tiny_artifact, str(tmp_path / "frames"), out), "another source"),
        ((tiny_artifact, str(listed), out, None, "parquet"), "another format, png, not parquet"),
        ((tiny_artifact, str(listed), out, None, "png", 7), "another block, 64, not 7"),
    ]:
        with pytest.raises(UsageError, match=message):
            label(*arguments)
    with folder.claimed(), pytest.raises(UsageError, match=f"process {os.getpid()} on .* is label"):
        label(tiny_artifact, str(listed), out)
    with listed.open("a") as file:
        file.write("\n/one/more.png")
    with pytest.raises(UsageError, match="list.txt has changed since"):
        label(tiny_artifact, str(listed), out)
    assert (out / "job.json").read_bytes() == before


def test_no_cluster_there(tiny_artifact, frames, tmp_path, monkeypatch):
    import ray

    def init(**options):
        raise ConnectionError("nobody\nthere")

    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "shutdown", lambda: None)
    monkeypatch.setattr(ray, "init", init)
    with pytest.raises(AsapError, match="no Ray cluster answers at 10.0.0.1:6379: nobody$"):
        resources = Resources(cluster="10.0.0.1:6379")
        label(tiny_artifact, str(tmp_path / "frames"), tmp_path / "out", resources)
    assert not (tmp_path / "out").exists()
