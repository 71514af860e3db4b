"""Run folders, folders of labels and recipes that somebody has edited, or a crash cut short."""

from __future__ import annotations

import json

import numpy as np
import pytest

from asap_tf.core.errors import UsageError
from asap_tf.labelling.folder import LabelFolder, LabelJob
from asap_tf.labelling.source import Input
from asap_tf.training.recipe import load_recipe
from asap_tf.training.run_folder import Checkpoint, RunFolder


@pytest.fixture
def labels(tmp_path) -> LabelFolder:
    (tmp_path / "labels").mkdir()
    folder = LabelFolder(tmp_path / "labels")
    job = LabelJob("a.txt", "d", "m", "png", 2, classes=("road",))
    folder.start(job, iter([Input("a.png"), Input("b.png"), Input("c.png")]))
    return folder


@pytest.mark.parametrize(
    "change",
    [
        {"block": "2"},
        {"block": 0},
        {"block": 1},
        {"count": -1},
        {"count": 10**12},
        {"classes": "road"},
        {"classes": [["road"]]},
        {"model": None},
        {"format": 7},
    ],
    ids=repr,
)
def test_a_job_of_odd_values(labels, change):
    file = labels.path / "job.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | change))
    with pytest.raises(UsageError, match="job.json: damaged") as refusal:
        LabelFolder(labels.path).job()
    assert str(refusal.value).isprintable()


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b"\xff", b"[" * 100_000])
def test_a_job_cut_short(labels, content):
    (labels.path / "job.json").write_bytes(content)
    with pytest.raises(UsageError, match="job.json: damaged"):
        LabelFolder(labels.path).job()


def test_inputs_cut_short(labels):
    file = labels.path / "inputs.arrow"
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(UsageError, match="damaged"):
        LabelFolder(labels.path).job()


@pytest.mark.parametrize(
    "line", ['{"step": "2"}', '{"step": 2, "loss": "x"}', "7", "[]", '{"step": null}', '{"step": 2']
)
def test_a_log_is_read_up_to_what_is_none(tmp_path, line):
    run = RunFolder(tmp_path / "run")
    with run.started(load_recipe("camvid_resnet18")):
        (run.path / "log.jsonl").write_text(f'{{"step": 1, "loss": 0.5}}\n{line}\n{{"step": 3}}\n')
        assert run.read_log() == [{"step": 1, "loss": 0.5}]
        run.rewind_log(9)
        assert run.read_log() == [{"step": 1, "loss": 0.5}]


@pytest.mark.parametrize("state", ["[]", '{"step": "5", "best_miou": null}', '{"step": 5}', "{"])
def test_a_checkpoint_of_odd_values(tmp_path, state):
    run = RunFolder(tmp_path / "run")
    with run.started(load_recipe("camvid_resnet18")):
        for step in (5, 10):
            run.save(Checkpoint(step, None, {"a": np.zeros(3, "float32")}))
        file = run.path / "checkpoints" / "00000010.npz"
        np.savez(file, a=np.zeros(3, "float32"), state=np.array(state))
        assert run.latest().step == 5


@pytest.mark.parametrize(
    "name", ["../../evil", "/tmp/evil", "a/b", "..", ".", "", "x" * 101, "a\n"]
)
def test_a_recipe_that_would_put_its_run_elsewhere(tmp_path, name):
    file = tmp_path / "r.yaml"
    file.write_text(json.dumps({"name": name, "augment": {"crop": [64, 96]}}))
    with pytest.raises(UsageError, match="r.yaml: name="):
        load_recipe(file)
