from __future__ import annotations

import signal
import sys
from types import ModuleType, SimpleNamespace

import pytest

from asap_tf.core.errors import AsapError, Interrupted
from asap_tf.training.run_folder import RunFolder


@pytest.mark.usefixtures("eager")
def test_mlflow_has_the_recipe_and_every_epoch_in_one_entry_also_when_a_run_is_resumed(
    trainer, tiny_recipe, tmp_path, monkeypatch, at_step
):
    mlflow = pytest.importorskip("mlflow")
    store = f"file://{tmp_path / 'mlruns'}"
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store)
    recipe = tiny_recipe(train={"loggers": ("mlflow",), "validate_every": 3})
    stop = at_step(4, after=lambda: signal.raise_signal(signal.SIGTERM))
    with pytest.raises(Interrupted):
        trainer(tmp_path / "run", recipe, stop).train()
    trainer(tmp_path / "run", recipe).train()

    client = mlflow.MlflowClient(store)
    (entry,) = client.search_runs(["0"])
    assert entry.info.status == "FINISHED"
    assert entry.data.params["train.epochs"] == "3"
    assert entry.data.params["model.name"] == "tiny"
    assert [m.step for m in client.get_metric_history(entry.info.run_id, "loss")] == [2, 4, 6]
    (score,) = client.get_metric_history(entry.info.run_id, "val_miou")
    logged = [e["val_miou"] for e in RunFolder(tmp_path / "run").read_log() if "val_miou" in e]
    assert [score.value] == pytest.approx(logged)
    assert not (tmp_path / "run" / "tensorboard").exists()


@pytest.mark.usefixtures("eager")
def test_wandb_gets_the_same_and_its_own_id_again(trainer, tiny_recipe, tmp_path, monkeypatch):
    """Against a stand-in: the service is not to be had without an account."""
    package, begun, logged = ModuleType("wandb"), [], []

    def init(**options):
        begun.append(options)
        return SimpleNamespace(
            id="abc",
            log=lambda values, step: logged.append((step, "loss" in values)),
            finish=lambda: logged.append("finished"),
        )

    package.init = init
    monkeypatch.setitem(sys.modules, "wandb", package)
    recipe = tiny_recipe(train={"loggers": ("wandb",), "validate_every": 3})
    trainer(tmp_path / "run", recipe).train()
    assert logged == [(2, True), (4, True), (6, True), "finished"]
    assert begun[0]["id"] is None
    assert begun[0]["config"]["train"]["epochs"] == 3
    trainer(tmp_path / "run", recipe).train()
    assert (begun[1]["id"], begun[1]["resume"]) == ("abc", "allow")


def test_a_logger_that_is_not_there_is_told_before_the_first_step(
    trainer, tiny_recipe, tmp_path, monkeypatch
):
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(AsapError, match="wandb"):
        trainer(tmp_path / "run", tiny_recipe(train={"loggers": ("wandb",)}))
