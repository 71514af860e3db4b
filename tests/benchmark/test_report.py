from __future__ import annotations

import json
from dataclasses import replace

import pytest

from asap_tf.benchmark import report
from asap_tf.benchmark.artifact import ROWS, ArtifactInfo
from asap_tf.benchmark.inference import Comparison, Result
from asap_tf.benchmark.machine import Machine
from asap_tf.benchmark.rounds import WarmUp

MACHINE = Machine(
    cpu="Abacus 3",
    cores=2,
    instructions=("AVX2",),
    memory=8 * 2**30,
    gpus=(),
    system="Linux",
    software="asap-tf 1, Python 3",
    load=0.3,
    date="2026-01-02 03:04:05 +0000",
)


def result(name, seconds, **info):
    known = {
        "format": "litert",
        "precision": "fp32",
        "runtime": "LiteRT 2, 2 threads",
        "size": (512, 1024),
        "file_bytes": 46_000_000,
        "parameters": 11_500_000,
        "multiply_accumulates": 21_000_000_000,
        "agreement": 0.9991,
    }
    rows = {row: [t * (i + 1) for t in seconds] for i, row in enumerate(ROWS)}
    warm_up, memory, miou = WarmUp(10, True), 300_000_000, info.pop("miou", None)
    return Result(name, f"e/{name}", ArtifactInfo(**known | info), warm_up, memory, rows, miou)


@pytest.fixture
def comparison():
    """The second is four times as fast as the first in each of 100 drifting rounds."""
    slow = [0.2 + 0.001 * i for i in range(100)]
    unknown = {"parameters": None, "multiply_accumulates": None, "agreement": None}
    return Comparison(
        MACHINE,
        (1024, 2048),
        {"jpeg": 518_000, "png": 4_100_000},
        None,
        (
            result("slow.keras", slow, miou=0.6041),
            result("fast.tflite", [t / 4 for t in slow], precision="int8", **unknown),
        ),
    )


def cells(text, heading, name):
    """The cells of the line that begins with `name` in the table under a heading."""
    (line,) = [
        line
        for line in text.partition(heading)[2].partition("\n## ")[0].splitlines()
        if line.startswith(f"| {name} ")
    ]
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_text(comparison):
    text = report.text(comparison)
    assert cells(text, "# Benchmark", "slow.keras") == [
        *("slow.keras", "fp32", "512x1024", "LiteRT 2, 2 threads"),
        *("46.0", "11.5", "21.0", "300", "99.91%", "60.4%"),
    ]
    assert cells(text, "# Benchmark", "fast.tflite")[5:] == ["-", "-", "300", "-", "-"]
    # 200 to 299 ms: p50 249.5, p90 289.1.
    assert cells(text, "## Network only", "slow.keras")[1:] == ["250", "289", "250", "4.01", "1"]
    assert cells(text, "## Network only", "fast.tflite")[1:] == [
        *("62.4", "72.3", "62.4", "16.0", "4.00 [4.00, 4.00]")
    ]
    assert cells(text, "## With resize from 1024x2048", "slow.keras")[1] == "499"
    assert cells(text, "PNG file", "slow.keras")[1] == "998"
    for fact in (
        *("Abacus 3, 2 cores (AVX2), 8 GiB", "GPU: none", "Python 3", "load average 0.3"),
        *("all 2 cores", "518 kB", "4100 kB as PNG", "rounds: 100", "95% interval"),
        "ASAP 96 frames/s, ASAP (TensorRT) 191 frames/s",
    ):
        assert fact in text
    assert "Warning" not in text and "stopped" not in text


def test_text_on_a_gpu_has_the_papers_lines_beside(comparison):
    machine = replace(MACHINE, gpus=("X1 (8192 MiB, driver 5)",))
    text = report.text(replace(comparison, machine=machine))
    assert cells(text, "## With resize", "ASAP in the paper, GTX 1080 Ti")[4] == "96.0"
    assert cells(text, "## With resize", "ASAP (TensorRT) in the paper, GTX 1080 Ti")[4] == "191"
    assert "in the paper" not in text.partition("## With resize")[0]
    assert "X1 (8192 MiB, driver 5)" in text


def test_text_says_what_makes_it_doubtful(comparison):
    first, second = comparison.results
    few = replace(first, seconds={row: times[:3] for row, times in first.seconds.items()})
    shaky = replace(second, warm_up=WarmUp(60, False))
    shaky = replace(shaky, seconds={row: times[:3] for row, times in shaky.seconds.items()})
    busy = replace(MACHINE, load=2.5)
    text = report.text(replace(comparison, machine=busy, results=(few, shaky), threads=1))
    assert "rounds: 3," in text and "stopped before the 100 rounds" in text
    assert "Warning: the load average was 2.5 on 2 cores" in text
    assert "Warning: fast.tflite: still unsteady" in text
    assert "threads: 1\n" in text
    assert cells(text, "## Network only", "fast.tflite")[-1] == "4.00"


def test_json_holds_everything(comparison):
    content = json.loads(json.dumps(report.to_dict(comparison)))
    assert content["machine"]["cpu"] == "Abacus 3"
    assert (content["source"], content["rounds"], content["complete"]) == ([1024, 2048], 100, True)
    assert content["reference"]["frames_per_second"] == {"ASAP": 96, "ASAP (TensorRT)": 191}
    slow, fast = content["artifacts"]
    assert (fast["name"], fast["path"], fast["precision"]) == (
        "fast.tflite",
        "e/fast.tflite",
        "int8",
    )
    assert fast["peak_memory"] == 300_000_000 and fast["warm_up"] == {"turns": 10, "steady": True}
    assert tuple(slow["rows"]) == ROWS
    row = fast["rows"]["resize"]
    assert row["seconds"] == comparison.results[1].seconds["resize"]
    assert row["p50"] == pytest.approx(2 * 0.2495 / 4)
    assert row["frames_per_second"] == pytest.approx(1 / row["p50"])
    assert row["speedup"]["median"] == pytest.approx(4)
    assert row["speedup"]["interval"] == pytest.approx([4, 4])


def test_chart_has_a_bar_for_every_artifact_and_row(comparison, bar_lengths, tmp_path):
    report.draw(comparison, tmp_path / "chart.png")
    for lengths in bar_lengths(tmp_path / "chart.png"):
        # The bars of both artifacts, one four times as long as the other.
        slow, fast = lengths
        assert fast / slow == pytest.approx(4, rel=0.05)
