from __future__ import annotations

import functools

import numpy as np
import pytest

from asap_tf.benchmark.machine import this_machine
from asap_tf.benchmark.rounds import measure
from asap_tf.core.errors import UsageError
from asap_tf.models import list_models
from asap_tf.models.registry import builder_of
from asap_tf.reproduce import table1
from asap_tf.reproduce.paper import NetworkRow
from asap_tf.reproduce.table1 import BUILT, RUNTIMES, Timed, score_runs, text, time_networks
from support.tiny import Tiny

SIZE = (512, 1024)


def timings(times_of_asap):
    """Eight rounds of every network on every runtime, each so many times slower than ASAP."""
    drift = np.linspace(1, 2, 8)
    return [
        Timed(n.name, runtime, 10**9, 10**6, list(0.1 * times_of_asap.get(n.name, 1.5) * drift))
        for n in BUILT
        for runtime in RUNTIMES
    ]


def cells(report, title):
    (line,) = (x for x in report.splitlines() if x.startswith(f"| {title} "))
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_ratios_stand_beside_the_papers():
    slower = {"asap": 1.0, "stdc2": 1.01, "bisenetv2": 0.8}
    report = text(timings(slower), this_machine(), SIZE, 2, {"pidnet_s": 0.7})
    stdc2 = cells(report, "STDC2-Seg50 (TRT)")
    assert stdc2[1:5] == ["73.4", "188.6", "512x1024", "1.01"]
    assert stdc2[5].endswith("1.01 [1.01, 1.01]")
    assert stdc2[8] == "reproduced: ASAP faster on 3 of 3 runtimes"
    bisenet = cells(report, "BiSeNetV2 (TRT)")
    assert bisenet[4] == "1.22" and bisenet[5].endswith("0.80 [0.80, 0.80]")
    assert bisenet[8] == "not reproduced: ASAP faster on 0 of 3 runtimes"
    assert "printed at 1024x2048" in cells(report, "ICNet")[8]
    assert cells(report, "CellNet")[8] == "not testable: no public definition"
    assert cells(report, "TinyHMSeg (TRT)")[1:4] == ["71.4", "172.4", "768x1536"]
    assert "\n- TinyHMSeg (TRT): not built: its searched operators" in report
    # The paper's own figures stand, with what their sources say below.
    assert cells(report, "DF1-Seg (TRT)")[1:4] == ["73.0", "106.4", "768x1536"]
    assert "\n- DF1-Seg (TRT): it ran at 1024x2048, by its authors' README" in report
    assert cells(report, "LDFNet")[2] == "18.3" and "27.7 on a GTX 1080 Ti" in report
    pidnet = cells(report, "PIDNet-S")
    assert pidnet[8:] == ["not in the paper", "70.0%", "1.00", "1.00"]
    # The median of 0.1 s times 1 to 2.
    assert cells(report, "ASAP (TRT)")[5].startswith("6.7 FPS")


def test_every_network_but_the_successor_is_timed():
    shipped = [n for n in list_models() if builder_of(n).__module__ == f"asap_tf.models.{n}"]
    networks = [n for n in shipped if n != "asap_fast"]
    assert sorted(str(n.name) for n in BUILT) == networks and len(networks) == 12


def test_networks_are_exported_and_timed(monkeypatch):
    monkeypatch.setattr(table1, "BUILT", (NetworkRow("Tiny", "-", None, None, "tiny"),))
    monkeypatch.setattr(table1, "CALIBRATION", 1)
    monkeypatch.setattr(table1, "measure", functools.partial(measure, least=2))
    found = time_networks((64, 64), 1, 0)
    assert [t.runtime for t in found] == list(RUNTIMES)
    assert all(t.name == "tiny" and len(t.seconds) == 2 and min(t.seconds) > 0 for t in found)
    assert found[0].parameters == Tiny(19).count_params()


def test_a_model_that_does_not_say_what_it_is(trained_model, streets_root):
    with pytest.raises(UsageError, match="does not say which network it is"):
        score_runs([trained_model], streets_root)
