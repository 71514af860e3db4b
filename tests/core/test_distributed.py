from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
import sys
import time
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from pathlib import Path

import numpy as np
import pytest

import asap_tf
from asap_tf import __version__
from asap_tf.cli import group
from asap_tf.core import distributed as hosts
from asap_tf.core import links
from asap_tf.core.distributed import Hosts, joined, resolve
from asap_tf.core.errors import AsapError, UsageError
from asap_tf.data import open_dataset
from asap_tf.data.check import check_dataset
from asap_tf.inference.evaluate import evaluate

ROOT = Path(__file__).parents[2]


def test_all_hosts_get_what_each_has_to_give_in_their_order(two_hosts):
    def talk(place):
        answers = [place.exchange((place.id, i, float("nan")))[1][:2] for i in range(3)]
        return place.share(range(5)), place.told(place.id), answers

    first, second = two_hosts(talk)
    assert first == (range(0, 5, 2), 0, [[1, 0], [1, 1], [1, 2]])
    assert second == (range(1, 5, 2), 0, [[1, 0], [1, 1], [1, 2]])
    assert Hosts().exchange((1, 2)) == [[1, 2]] and Hosts().share([1, 2]) == [1, 2]


def test_long_messages_arrive_whole(two_hosts):
    long = ["x" * 1_000_000] * 20
    assert two_hosts(lambda place: place.exchange(long) == [long, long]) == [True, True]


class Dark:
    """A segmenter that sees class 1 in dark frames and 0 in others."""

    def __init__(self, classes):
        self.classes = classes

    def predict(self, frames):
        return np.broadcast_to((frames.mean() < 128), frames.shape[:3]).astype(np.uint8)


def test_shares_are_scored_and_checked_apart_and_added(two_hosts, streets_root):
    dataset = open_dataset(streets_root)
    segmenter = Dark(dataset.classes)
    alone, report = evaluate(segmenter, dataset), check_dataset(dataset)
    assert len({frame.miou for frame in alone.frames}) > 10

    def work(place):
        return evaluate(segmenter, dataset, hosts=place), check_dataset(dataset, hosts=place)

    for evaluation, checked in two_hosts(work):
        np.testing.assert_array_equal(evaluation.matrix, alone.matrix)
        assert evaluation.frames == alone.frames
        assert checked.counts == report.counts
        for split, pixels in report.class_pixels.items():
            np.testing.assert_array_equal(checked.class_pixels[split], pixels)


def test_a_defect_in_one_share_is_known_to_all(two_hosts, streets_root, tmp_path):
    root = tmp_path / "streets"
    shutil.copytree(streets_root, root)
    bad = open_dataset(root).pairs("train")[1].image
    bad.write_bytes(b"")
    reports = two_hosts(lambda place: check_dataset(open_dataset(root), ["train"], place))
    assert [[d.path for d in report.defects] for report in reports] == [[bad], [bad]]


def test_hosts_that_see_different_frames_are_refused(two_hosts, streets_root, tmp_path):
    root = tmp_path / "streets"
    shutil.copytree(streets_root, root)
    one = open_dataset(root).pairs("val")[0]
    for file in (one.image, one.mask):
        file.rename(file.with_name(file.name.replace("_0", "_9", 1)))
    with pytest.raises(AsapError, match="'val' differs between the hosts, which see 20, 20 frames"):
        two_hosts(
            lambda place: check_dataset(
                open_dataset(root if place.first else streets_root), ["val"], place
            )
        )


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (("0", None, None), "--hosts 0: want a number from 1, or auto"),
        (("two", None, None), "--hosts two: want a number from 1, or auto"),
        (("2", 0, None), "--hosts 2 wants --host-id I, from 0, and --coordinator HOST:PORT"),
        (("2", 2, "a:1"), "--host-id 2: want 0 to 1, with --hosts 2"),
        (("1", 0, None), "--host-id and --coordinator want --hosts N, of all hosts, or auto"),
        (("2", 1, "a"), "--coordinator a: want HOST:PORT"),
        (("2", 1, "a:99999"), "--coordinator a:99999: want HOST:PORT"),
        (("auto", None, None), "--hosts auto: JAX finds neither Slurm nor MPI nor a cloud"),
    ],
)
def test_wrong_options(given, message):
    with pytest.raises(UsageError, match=re.escape(message)):
        resolve(*given)


def test_training_on_several_hosts_wants_jax(monkeypatch):
    monkeypatch.delenv("KERAS_BACKEND", raising=False)
    with pytest.raises(UsageError, match="put KERAS_BACKEND=jax before it"):
        joined("2", 0, "127.0.0.1:1", training=True).__enter__()


def test_slurm_is_found(monkeypatch):
    slurm = {"JOB_ID": 4097, "STEP_NODELIST": "node[07-09]", "NTASKS": 3, "PROCID": 2, "LOCALID": 1}
    for name, value in slurm.items():
        monkeypatch.setenv(f"SLURM_{name}", str(value))
    assert resolve("auto", None, None) == (3, 2, "node07:61441", [1])


def test_a_host_that_never_comes_is_named(monkeypatch, port):
    monkeypatch.setattr(links, "START_SECONDS", 0.5)
    with pytest.raises(AsapError, match="host 1, 2 of 3 did not come within 0 s"):
        joined("3", 0, f"127.0.0.1:{port}").__enter__()
    with pytest.raises(AsapError, match=f"host 0 did not answer at 127.0.0.1:{port} within 0 s"):
        joined("3", 1, f"127.0.0.1:{port}").__enter__()


def test_strangers_and_doubles_are_not_let_in(monkeypatch, port):
    monkeypatch.setattr(links, "SILENCE_SECONDS", 0.5)

    def host(i):
        try:
            with joined("3", i, f"127.0.0.1:{port}") as place:
                return place.exchange(i)
        except AsapError as error:
            return str(error)

    with ThreadPoolExecutor(4) as pool:
        first = pool.submit(host, 0)
        # To host 0 it is the beginning of a long message, of which no more comes.
        with links.connect("127.0.0.1", port, time.monotonic() + 10) as stranger:
            stranger.sendall(b"GET / HTTP/1.1\r\n\r\n")
            doubles = [pool.submit(host, i) for i in (1, 1)]
            ((refused,), (double,)) = wait(doubles, return_when=FIRST_COMPLETED)
        assert "host 0 refuses host 1 of 3" in refused.result()
        # Whoever comes after the last one finds the door shut.
        last = pool.submit(host, 2)
        assert [f.result() for f in (first, double, last)] == [[0, 1, 2]] * 3


@pytest.mark.parametrize("silent", [True, False])
def test_a_host_that_falls_silent_or_breaks_off_ends_the_others(silent, monkeypatch, port, capsys):
    ended = []
    monkeypatch.setattr(hosts, "SILENCE_SECONDS", 0.5 if silent else 60.0)
    monkeypatch.setattr(hosts, "GRACE_SECONDS", 0.0)
    monkeypatch.setattr(hosts.os, "_exit", ended.append)

    def other():
        link = links.Link(links.connect("127.0.0.1", port, time.monotonic() + 9))
        link.send("hello", {"host": 1, "of": 2, "version": __version__, "name": "node7"})
        return link

    with ThreadPoolExecutor(1) as pool:
        other_end = pool.submit(other)
        meeting = joined("2", 0, f"127.0.0.1:{port}")
        meeting.__enter__()
    if not silent:
        other_end.result()._connection.close()
    deadline = time.monotonic() + 5
    while not ended and time.monotonic() < deadline:
        time.sleep(0.01)
    why = "no sign of life for 0 s" if silent else "its connection broke"
    told = capsys.readouterr().err
    assert (
        ended == [1] and told == f"\nError: host 1 of 2 (node7) is lost: {why}; start all again\n"
    )


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    """What `benchmarks/hosts.py` starts hosts by, on loopback."""
    sys.path.insert(0, str(ROOT / "benchmarks"))
    try:
        spec = importlib.util.spec_from_file_location("hosts_bench", ROOT / "benchmarks/hosts.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    finally:
        sys.path.pop(0)
    return module.Bench(tmp_path_factory.mktemp("hosts"), [[], []])


@pytest.fixture(scope="module")
def reference(bench):
    """A run on JAX, in one process."""
    return bench.reference("one")


def test_two_hosts_one_killed_and_gone_on_with_on_four_devices_end_as_one(bench, reference):
    """The short form of `benchmarks/hosts.py`: here every part has to hold for the end to."""
    run = bench.lose(1, 26)
    four = "--xla_force_host_platform_device_count=4"
    bench.finish(bench.start("train", "--resume", run, XLA_FLAGS=four))
    bench.same("gone on with", run, reference)
    assert bench.faults == []


def test_a_model_trained_on_jax_is_exported_by_tensorflow(reference, tmp_path):
    out = tmp_path / "export"
    command = ["export", str(reference), "--out", str(out), "--tflite", "--size", "32x64"]
    group.main(command, standalone_mode=False)
    (file,) = out.glob("*.tflite")
    frames = np.random.default_rng(0).integers(0, 256, (4, 32, 64, 3), np.uint8)
    labels, own = (asap_tf.load(path).predict(frames) for path in (file, reference))
    assert np.mean(labels == own) > 0.99 and len(np.unique(own)) > 1


def test_the_slurm_example_is_a_shell_script():
    text = (ROOT / "docs" / "scale.md").read_text()
    (script,) = re.findall(r"```bash\n(#!/bin/bash\n#SBATCH.*?)```", text, re.DOTALL)
    subprocess.run(["bash", "-n"], input=script, text=True, check=True)
    assert "--hosts auto" in script
