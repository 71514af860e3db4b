from __future__ import annotations

import json

from asap_tf import ASAPNet
from asap_tf.data import open_dataset
from asap_tf.saving import save_model
from asap_tf.training.results import write_results
from asap_tf.training.run_folder import RunFolder


def test_metrics_and_report_of_a_run(tmp_path, tiny_root, tiny_recipe):
    run, dataset = RunFolder(tmp_path / "run"), open_dataset(tiny_root)
    with run.started(tiny_recipe()):
        for step, seconds in ((2, 90.0), (4, 30.0)):
            run.log({"step": step, "loss": 1.0, "learning_rate": 0.1, "seconds": seconds})
    save_model(ASAPNet(11, (None, None, 3)), run.model, dataset.classes, None, step=4)
    (evaluation,) = write_results(run, [dataset])
    metrics = json.loads(run.metrics.read_text())
    assert metrics["miou"] == evaluation.scores.miou
    assert (metrics["frames"], metrics["step"], metrics["training_minutes"]) == (2, 4, 2.0)
    page = run.report.read_text()
    for part in ("tiny", "best: ", "median: ", "worst: ", "2 min", "building"):
        assert part in page
