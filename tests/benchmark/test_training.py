from __future__ import annotations

import itertools
import json
from types import SimpleNamespace

import pytest

from asap_tf.benchmark import training
from asap_tf.benchmark.machine import this_machine
from asap_tf.benchmark.training import MIN_BATCHES, WARM_UP, Clock, TrainingSpeed
from asap_tf.benchmark.training_report import text, to_dict
from asap_tf.training.recipe import load_recipe


@pytest.fixture
def clock(monkeypatch):
    """A clock that has ticked at the given times, for as long as it wanted to."""

    def run(seconds, ends):
        ends = iter(ends)
        monkeypatch.setattr(training, "time", SimpleNamespace(perf_counter=lambda: next(ends)))
        clock = Clock(seconds)
        while clock.tick():
            pass
        return clock

    return run


def test_clock_leaves_the_warm_up_out(clock):
    cold = [100.0, 150.0, 151.0]
    assert len(cold) == WARM_UP
    times = clock(0, itertools.chain(cold, itertools.count(152.5, 1.5))).times()
    assert times == [1.5] * MIN_BATCHES


def test_clock_goes_on_for_as_long_as_it_should(clock):
    assert sum(clock(30.0, itertools.count(0.0, 2.0)).times()) == 30.0


@pytest.fixture
def speed():
    return TrainingSpeed(
        machine=this_machine(),
        recipe=load_recipe("camvid_resnet18", ["train.batch_size=4"]),
        precision="float32",
        frames=367,
        runtime="Keras 3, CPU",
        passes=3,
        seconds={"step": [1.0, 3.0], "pipeline": [0.5] * 6, "both": [2.0, 3.0]},
    )


def test_report(speed):
    report = text(speed)
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in report.splitlines()
        if line.startswith("|")
    ]
    # Batches of 4: 8 images in 4 s, 24 in 3 s, 8 in 5 s.
    assert [row[1:3] for row in rows[2:]] == [["2.00", "2"], ["8.00", "6"], ["1.60", "2"]]
    assert rows[2][3] == "2000" and rows[3][3] == "500"
    assert "delivers 4.00 times" in report and "reach 80% of the step" in report
    assert "crops of 288x384, batches of 4, 367 decoded frames in memory" in report


def test_json(speed):
    content = json.loads(json.dumps(to_dict(speed)))
    assert content["rows"]["both"]["images_per_second"] == pytest.approx(1.6)
    assert content["rows"]["step"]["seconds"] == [1.0, 3.0]
    assert content["recipe"]["train"]["batch_size"] == 4
    assert (content["precision"], content["frames"], content["passes"]) == ("float32", 367, 3)
