from __future__ import annotations

import numpy as np
import pytest

from asap_tf.errors import AsapError, UsageError
from asap_tf.training.run_folder import Checkpoint, RunFolder


@pytest.fixture
def run(tmp_path, tiny_recipe):
    folder = RunFolder(tmp_path / "run")
    folder.start(tiny_recipe())
    return folder


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


def test_damaged_checkpoint_is_named(run):
    run.save(checkpoint(5))
    file = run.path / "checkpoints" / "00000005.npz"
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(AsapError, match=r"00000005.npz: damaged checkpoint; remove it"):
        run.latest()


def test_full_disk_keeps_the_checkpoint_before(run, monkeypatch):
    run.save(checkpoint(5))

    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", full)
    with pytest.raises(AsapError, match=r"No space left on device.*--resume"):
        run.save(checkpoint(10))
    assert run.latest().step == 5
    assert len(list((run.path / "checkpoints").iterdir())) == 1


def test_full_disk_at_the_start_leaves_the_folder_free(tmp_path, tiny_recipe, monkeypatch):
    def full(*args):
        raise AsapError("recipe.yaml: cannot be written (No space left on device)")

    monkeypatch.setattr("asap_tf.training.run_folder.write_text", full)
    run = RunFolder(tmp_path / "run")
    with pytest.raises(AsapError, match="No space left"):
        run.start(tiny_recipe())
    run.require_free()


def test_log_that_cannot_be_written_is_named(run):
    (run.path / "log.jsonl").symlink_to("/dev/full")
    with pytest.raises(AsapError, match=r"log.jsonl: cannot be written \(No space left.*--resume"):
        run.log({"step": 1})


def test_events_that_cannot_be_written_are_named(run):
    (run.path / "tensorboard").write_text("")
    with pytest.raises(AsapError, match="tensorboard: cannot be written to; is the disk full?"):
        run.write_scalars(1, {"loss": 1.0})


def test_log_is_rewound_to_a_step_and_a_torn_line_is_left_out(run):
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
        RunFolder(tmp_path / "file" / "run").start(tiny_recipe())
