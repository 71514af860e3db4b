from __future__ import annotations

import io
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from asap_tf.core.errors import AsapError, UsageError
from asap_tf.core.files import Unwritable, hidden, own_tag
from asap_tf.training.run_folder import Checkpoint, RunFolder


@pytest.fixture
def run(tmp_path, tiny_recipe):
    folder = RunFolder(tmp_path / "run")
    with folder.started(tiny_recipe()):
        yield folder


def checkpoint(step):
    return Checkpoint(step, 0.5, {"model/0000": np.full(3, step, "float32")})


def test_the_last_of_the_checkpoints_comes_back(run):
    assert run.latest() is None
    for step in (5, 10, 100):
        run.save(checkpoint(step))
    latest = run.latest()
    assert (latest.step, latest.best_miou) == (100, 0.5)
    np.testing.assert_array_equal(latest.arrays["model/0000"], [100, 100, 100])
    assert len(list((run.path / "checkpoints").iterdir())) == 2


def damage(file, rng):
    """Cuts a file short, or flips one bit of what it stores."""
    content = bytearray(file.read_bytes())
    at = rng.integers(len(content))
    if rng.random() < 0.5:
        content = content[:at]
    else:
        # The arrays' own bytes, which every archive's checksums are about.
        at = content.index(np.full(3, 100, "float32").tobytes()) + rng.integers(12)
        content[at] ^= 1 << rng.integers(8)
    file.write_bytes(content)


def test_a_damaged_checkpoint_is_named_and_the_one_before_goes_on(run, caplog):
    rng = np.random.default_rng(0)
    for _ in range(20):
        for step in (5, 100):
            run.save(checkpoint(step))
        file = run.path / "checkpoints" / "00000100.npz"
        damage(file, rng)
        assert run.latest().step == 5
        assert caplog.messages.pop() == f"{file}: damaged, resuming from step 5"
        assert not file.exists() and file.with_suffix(".damaged").exists()


def test_damaged_checkpoints_only(run):
    run.save(checkpoint(5))
    file = run.path / "checkpoints" / "00000005.npz"
    file.write_bytes(file.read_bytes()[:100])
    for _ in range(2):
        with pytest.raises(AsapError, match=r"00000005.npz: damaged checkpoint, and none before"):
            run.latest()


HOLDER = """
import sys, time
from pathlib import Path
from asap_tf.training.recipe import load_recipe
from asap_tf.training.run_folder import RunFolder
folder = Path(sys.argv[1])
with RunFolder(folder).started(load_recipe("camvid_resnet18")):
    print("started", flush=True)
    time.sleep(60)
"""


def test_what_a_killed_training_left_half_written_is_gone_at_the_next_start(tmp_path, tiny_recipe):
    run = RunFolder(tmp_path / "run")
    with run.started(tiny_recipe()):
        run.save(checkpoint(5))
    names = run.path / "checkpoints" / "00000010.npz", run.path / "model.keras"
    halves = [hidden(name, 321) for name in names]
    others = [run.path / ".gitignore", run.path / ".notes.2024.txt"]
    for file in (*halves, *others):
        file.write_text("half")
    with run.started(tiny_recipe()):
        assert not any(file.exists() for file in halves)
        assert all(file.exists() for file in others) and run.latest().step == 5


def test_two_trainings_in_one_folder(tmp_path, tiny_recipe):
    run = RunFolder(tmp_path / "run")
    command = [sys.executable, "-c", HOLDER, run.path]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as first:
        assert first.stdout.readline() == "started\n"
        message = rf"run: process {first.pid} on {socket.gethostname()} is training into it; stop"
        with pytest.raises(UsageError, match=message), run.started(tiny_recipe()):
            raise AssertionError("two at a time")
        first.kill()
    with run.started(tiny_recipe()):
        pass


def test_full_disk_keeps_the_checkpoint_before(run, monkeypatch):
    run.save(checkpoint(5))

    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", full)
    with pytest.raises(Unwritable, match=r"00000010.npz: cannot be written \(No space left on dev"):
        run.save(checkpoint(10))
    assert run.latest().step == 5
    assert run.recovery_hint == f"saved up to step 5: fix that, then {run.resume_hint}"
    assert f"asap-tf train --resume {run.path}" in run.resume_hint
    assert len(list((run.path / "checkpoints").iterdir())) == 1


def test_full_disk_at_the_start_leaves_the_folder_free(tmp_path, tiny_recipe, monkeypatch):
    def full(*args):
        raise AsapError("recipe.yaml: cannot be written (No space left on device)")

    monkeypatch.setattr("asap_tf.training.run_folder.write_text", full)
    run = RunFolder(tmp_path / "run")
    with pytest.raises(AsapError, match="No space left"):
        run.started(tiny_recipe()).__enter__()
    run.require_free()


def test_log_that_cannot_be_written_is_named(run):
    (run.path / "log.jsonl").symlink_to("/dev/full")
    with pytest.raises(AsapError, match=r"log.jsonl: cannot be written \(No space left"):
        run.log({"step": 1})


def test_a_disk_that_takes_half_a_line_keeps_the_log_whole(run, monkeypatch):
    run.log({"step": 1})

    def half(self, content):
        os.write(self.fileno(), content[: len(content) // 2])
        return len(content) // 2

    class Full(io.FileIO):
        write = half

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", lambda path, mode, **options: Full(path, mode[:1]))
        with pytest.raises(Unwritable, match="No space left on device"):
            run.log({"step": 2})
    assert (run.path / "log.jsonl").read_text() == '{"step": 1}\n'
    run.log({"step": 3})
    assert [e["step"] for e in run.read_log()] == [1, 2, 3]


def test_a_checkpoint_is_on_the_disk_before_it_has_its_name(run, monkeypatch):
    run.save(checkpoint(5))
    run.save(checkpoint(6))
    run.log({"step": 7})
    happened, names = [], {}
    opened, replaced, unlinked = os.open, os.replace, Path.unlink

    def opening(path, *arguments, **options):
        descriptor = opened(path, *arguments, **options)
        names[descriptor] = Path(path).name
        return descriptor

    def replacing(source, target):
        happened.append("named")
        replaced(source, target)

    def removing(path, **options):
        happened.append(f"{path.name} removed") if path.name[0] != "." else None
        unlinked(path, **options)

    monkeypatch.setattr(os, "open", opening)
    monkeypatch.setattr(os, "fsync", lambda descriptor: happened.append(names[descriptor]))
    monkeypatch.setattr(os, "replace", replacing)
    monkeypatch.setattr(Path, "unlink", removing)
    run.save(checkpoint(7))
    aside = hidden(Path("00000007.npz"), own_tag()).name
    assert happened == ["log.jsonl", aside, "named", "checkpoints", "00000005.npz removed"]


def test_a_folder_that_somebody_removed_is_made_again_unless_it_is_somebody_elses(run, tiny_recipe):
    run.recreate(tiny_recipe())
    shutil.rmtree(run.path)
    with pytest.raises(Unwritable, match=r"log.jsonl: cannot be written \(the run folder was rem"):
        run.log({"step": 1})
    assert run.recovery_hint.startswith("there is no checkpoint yet")
    run.recreate(tiny_recipe())
    run.save(checkpoint(5))
    run.log({"step": 2})
    assert run.latest().step == 5 and run.recipe == tiny_recipe()
    assert [e["step"] for e in run.read_log()] == [1, 2]

    shutil.rmtree(run.path)
    command = [sys.executable, "-c", HOLDER, run.path]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout.readline() == "started\n"
        with pytest.raises(UsageError, match=f"process {other.pid} on .* is training into it"):
            run.recreate(tiny_recipe())
        with pytest.raises(Unwritable, match="the run folder was removed"):
            run.log({"step": 3})
        other.kill()


def test_events_that_cannot_be_written_are_named(run):
    (run.path / "tensorboard").write_text("")
    with pytest.raises(AsapError, match="tensorboard: cannot be written to: is the disk full?"):
        run.write_scalars(1, {"loss": 1.0})


def test_log_is_rewound_to_a_step_and_a_torn_line_is_dropped(run):
    for step in (1, 2, 3):
        run.log({"step": step, "loss": 1.0 / step})
    with (run.path / "log.jsonl").open("a") as file:
        file.write('{"step": 4, "lo')
    assert [e["step"] for e in run.read_log()] == [1, 2, 3]
    run.rewind_log(2)
    assert [e["step"] for e in run.read_log()] == [1, 2]


def test_recipe_is_kept(run, tiny_recipe):
    assert RunFolder(run.path).recipe == tiny_recipe()


def test_refuses_a_folder_in_use_and_one_that_is_no_run(run, tmp_path):
    with pytest.raises(UsageError, match="exists already"):
        run.require_free()
    (tmp_path / "empty").mkdir()
    RunFolder(tmp_path / "empty").require_free()
    with pytest.raises(UsageError, match="not a run folder"):
        _ = RunFolder(tmp_path / "empty").recipe


def test_place_that_cannot_be_written_to(tmp_path, tiny_recipe):
    (tmp_path / "file").write_text("")
    with pytest.raises(AsapError, match=r"cannot be written to \(Not a directory\)"):
        RunFolder(tmp_path / "file" / "run").started(tiny_recipe()).__enter__()
