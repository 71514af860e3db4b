"""The example for Kubernetes: what KubeRay asks of a RayJob, and a command that is ours."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
import yaml

FILE = Path(__file__).parents[2] / "docs" / "label_rayjob.yaml"


@pytest.fixture
def job():
    (job,) = yaml.safe_load_all(FILE.read_text())
    return job


def test_it_is_a_rayjob_with_a_head_and_workers(job):
    assert (job["apiVersion"], job["kind"]) == ("ray.io/v1", "RayJob")
    assert set(job) == {"apiVersion", "kind", "metadata", "spec"} and job["metadata"]["name"]
    spec = job["spec"]
    known = {"entrypoint", "shutdownAfterJobFinishes", "ttlSecondsAfterFinished", "rayClusterSpec"}
    assert set(spec) == known
    cluster = spec["rayClusterSpec"]
    assert set(cluster) == {"rayVersion", "headGroupSpec", "workerGroupSpecs"}
    (workers,) = cluster["workerGroupSpecs"]
    assert workers["minReplicas"] <= workers["replicas"] <= workers["maxReplicas"]
    for group in (cluster["headGroupSpec"], workers):
        # Of type map[string]string: a number in it would be refused.
        assert all(isinstance(value, str) for value in group["rayStartParams"].values())
        pod = group["template"]["spec"]
        (container,) = pod["containers"]
        assert container["name"] and container["image"]
        volumes = {volume["name"] for volume in pod["volumes"]}
        assert {mount["name"] for mount in container["volumeMounts"]} == volumes
        # A container that may use more than it asked for is the first to be thrown out.
        assert container["resources"]["limits"] == container["resources"]["requests"]


def test_its_command_is_ours_and_fits_the_cluster(job):
    from asap_tf.cli.label import command

    program, verb, *arguments = shlex.split(job["spec"]["entrypoint"])
    assert (program, verb) == ("asap-tf", "label")
    options = command.make_context("label", arguments).params
    assert options["cluster"] == "auto"
    cluster = job["spec"]["rayClusterSpec"]
    (workers,) = cluster["workerGroupSpecs"]
    (container,) = workers["template"]["spec"]["containers"]
    cores = workers["replicas"] * int(container["resources"]["limits"]["cpu"])
    assert options["workers"] * options["threads"] <= cores
    # What every machine reads or writes lies on the volume that all of them mount.
    (mount,) = container["volumeMounts"]
    for path in (options["model"], options["source"], str(options["out"])):
        assert path.startswith(mount["mountPath"] + "/")
