from __future__ import annotations

import re
import subprocess
from pathlib import Path

import numpy as np
import pytest

import asap_tf
from asap_tf.cli import group
from support.hosts import (
    BATCH,
    EPOCHS,
    TRAIN_FRAMES,
    HostRunner,
    assert_same_end,
    finish,
)


@pytest.fixture(scope="module")
def hosts(tmp_path_factory) -> HostRunner:
    return HostRunner(tmp_path_factory.mktemp("hosts"))


@pytest.fixture(scope="module")
def reference(hosts) -> Path:
    """A run on JAX, in one process."""
    return hosts.train("one")


def test_two_hosts_end_with_what_one_does_and_read_each_frame_once(hosts, reference):
    run, reads = hosts.home / "two", [hosts.home / f"reads-{i}" for i in range(2)]
    environments = ({"READS": reads[0]}, {"READS": reads[1]})
    finish(*hosts.pair("train", hosts.recipe, "--out", run, environments=environments))
    assert_same_end(run, reference)
    names = [file.read_text().split() for file in reads]
    share = TRAIN_FRAMES // BATCH * BATCH // 2
    assert [len(own) for own in names] == [share * EPOCHS] * 2
    for start in range(0, share * EPOCHS, share):
        assert len({name for own in names for name in own[start : start + share]}) == 2 * share


def test_a_model_trained_on_jax_is_exported_by_tensorflow(reference, tmp_path):
    out = tmp_path / "export"
    command = ["export", str(reference), "--out", str(out), "--tflite", "--size", "32x64"]
    group.main(command, standalone_mode=False)
    (file,) = out.glob("*.tflite")
    frames = np.random.default_rng(0).integers(0, 256, (4, 32, 64, 3), np.uint8)
    labels, own = (asap_tf.load(path).predict(frames) for path in (file, reference))
    assert np.mean(labels == own) > 0.99 and len(np.unique(own)) > 1


def test_the_slurm_example_is_a_shell_script():
    text = (Path(__file__).parents[2] / "docs" / "scale.md").read_text()
    (script,) = re.findall(r"```bash\n(#!/bin/bash\n#SBATCH.*?)```", text, re.DOTALL)
    subprocess.run(["bash", "-n"], input=script, text=True, check=True)
    assert "--hosts auto" in script
