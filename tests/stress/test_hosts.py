"""Training on several hosts, and on several devices, against training on one.

    pytest tests/stress/test_hosts.py -m stress

Hosts are processes, each in a network namespace with an address and a name of its own where the
system allows it (root on Linux), else on loopback. About five minutes of two processor cores.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from asap_tf.training.run_folder import RunFolder
from support.hosts import EPOCHS, STEPS, HostRunner, assert_same_end, error_lines, finish

pytestmark = pytest.mark.stress


@contextlib.contextmanager
def namespaces() -> Iterator[list[list[str]]]:
    """For each of two hosts, what to put before its command; nothing without the rights to it."""
    tag = f"asap{os.getpid()}"
    made, hosts = [f"{tag}-{i}" for i in range(2)], Path("/etc/netns")

    def ip(*arguments: str) -> None:
        subprocess.run(["ip", *arguments], check=True, capture_output=True)

    try:
        try:
            for name in made:
                ip("netns", "add", name)
            ip("link", "add", f"{tag}a", "netns", made[0], "type", "veth", "peer", f"{tag}b",
               "netns", made[1])  # fmt: skip
            for i, name in enumerate(made):
                ip("-n", name, "addr", "add", f"10.97.0.{i + 1}/24", "dev", f"{tag}{'ab'[i]}")
                for device in ("lo", f"{tag}{'ab'[i]}"):
                    ip("-n", name, "link", "set", device, "up")
                (hosts / name).mkdir(parents=True)
                (hosts / name / "hosts").write_text(
                    f"127.0.0.1 localhost\n10.97.0.{i + 1} {name}\n"
                )
            before = [
                ["ip", "netns", "exec", name, "unshare", "--uts", "sh", "-c",
                 f'hostname {name}; exec "$@"', "sh"]
                for name in made
            ]  # fmt: skip
            for command in before:
                subprocess.run([*command, "true"], check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError):
            before = []
        yield before
    finally:
        for name in made:
            with contextlib.suppress(OSError, subprocess.CalledProcessError):
                ip("netns", "del", name)
            shutil.rmtree(hosts / name, ignore_errors=True)


@pytest.fixture(scope="module")
def hosts(tmp_path_factory) -> Iterator[HostRunner]:
    with namespaces() as before:
        home = tmp_path_factory.mktemp("hosts")
        yield HostRunner(home, before, "10.97.0.1") if before else HostRunner(home)


@pytest.fixture(scope="module")
def reference(hosts) -> Path:
    """A run on JAX, in one process."""
    return hosts.train("one")


def test_two_hosts(hosts, reference):
    run = hosts.home / "two"
    finish(*hosts.pair("train", hosts.recipe, "--out", run))
    assert_same_end(run, reference)


@pytest.mark.parametrize("killed", [0, 1])
def test_a_run_without_a_host_is_resumed_by_one_or_two(killed, hosts, reference):
    run, copy, environments = hosts.home / f"without-{killed}", hosts.home / "copy", ({}, {})
    step = int(np.random.default_rng(killed).integers(STEPS // EPOCHS + 1, STEPS))
    environments[killed]["SIGKILL_AT"] = step
    processes = hosts.pair("train", hosts.recipe, "--out", run, environments=environments)
    processes[killed].wait(timeout=600)
    died = time.monotonic()
    *_, error = error_lines(processes[1 - killed])
    seconds = time.monotonic() - died
    print(f"host {killed} killed in step {step}: the other ended {seconds:.1f} s later: {error}")
    assert error.endswith(f"asap-tf train --resume {run}") and seconds < 60
    shutil.copytree(run, copy)
    finish(hosts.start("train", "--resume", run))
    assert_same_end(run, reference)
    finish(*hosts.pair("train", "--resume", copy))
    assert_same_end(copy, reference)
    shutil.rmtree(copy)


def test_a_host_that_is_asked_to_stop_stops_all_after_the_same_step(hosts):
    run, step = hosts.home / "stopped", STEPS // 2 + 1
    environments = ({}, {"SIGTERM_AT": step})
    for process in hosts.pair("train", hosts.recipe, "--out", run, environments=environments):
        (error,) = error_lines(process)
        assert f"stopped at step {step} of {STEPS} and saved" in error
        assert process.returncode == 143
    assert RunFolder(run).latest().step == step


def test_four_devices_of_jax(hosts, reference):
    four = "--xla_force_host_platform_device_count=4"
    assert_same_end(hosts.train("four", XLA_FLAGS=four), reference)


def test_two_devices_of_tensorflow(hosts):
    one, two = (hosts.train(f"tf{n}", KERAS_BACKEND="tensorflow", DEVICES=n) for n in (1, 2))
    assert_same_end(two, one)


def test_scores_of_two_hosts_are_those_of_one(hosts, reference):
    arguments = ("eval", reference / "model.keras", "--data", hosts.data, "--json")
    alone, together = hosts.home / "alone.json", hosts.home / "together.json"
    tensorflow = {"KERAS_BACKEND": "tensorflow"}
    finish(hosts.start(*arguments, alone, **tensorflow))
    finish(*hosts.pair(*arguments, together, environments=(tensorflow, tensorflow)))
    assert json.loads(alone.read_text()) == json.loads(together.read_text())


def test_hosts_of_different_versions_are_refused(hosts):
    run = hosts.home / "versions"
    environments = ({}, {"VERSION": "0.0"})
    for process in hosts.pair("train", hosts.recipe, "--out", run, environments=environments):
        (error,) = error_lines(process)
        assert "0.0; install the same version" in error and process.returncode == 1
    assert not run.exists()


def test_a_mistake_of_one_host_ends_both(hosts):
    """Host 1 is given other data under the path that host 0's recipe names."""
    other = hosts.home / "other.yaml"
    other.write_text(hosts.recipe.read_text().replace("train:", "tain:"))
    first, second = hosts.pair("train", other, "--out", hosts.home / "mistake")
    (error,) = error_lines(first)
    assert "did you mean 'train'?" in error and first.returncode == 2
    *_, hint = error_lines(second)
    assert "another host failed or was lost" in hint and second.returncode != 0
