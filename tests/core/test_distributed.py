from __future__ import annotations

import json
import re
import signal
import socket

import pytest

from asap_tf.core.distributed import Hosts, connect
from asap_tf.core.errors import UsageError
from support.hosts import error_lines, free_port


def test_one_host_alone():
    with connect("1", None, None) as hosts:
        assert hosts == Hosts(0, 1) and hosts.is_main
        assert hosts.all_gather((1, 2)) == [[1, 2]] and hosts.broadcast("x") == "x"
        assert hosts.shard([1, 2]) == [1, 2] and hosts.all_max(3) == 3


COLLECTIVES = """
import numpy as np
with host(index) as hosts:
    long = f"{hosts.index}" * 1_000_000
    print(json.dumps([
        hosts.shard([0, 1, 2, 3, 4]),
        [hosts.all_gather((hosts.index, i, 2**40))[1] for i in range(3)],
        [text == f"{i}" * len(long) for i, text in enumerate(hosts.all_gather(long))],
        hosts.broadcast({"host": hosts.index}),
        hosts.broadcast_arrays({"a": np.full(3, 7 + hosts.index, "float32")})["a"].tolist(),
        hosts.all_max(10 - hosts.index),
        hosts.is_main,
    ]))
print(json.dumps(distributed.Hosts().all_gather(index)))
"""


def test_collectives_of_two_hosts(start_hosts):
    answers = []
    for process in start_hosts(COLLECTIVES):
        out, errors = process.communicate(timeout=300)
        assert process.returncode == 0 and "Error" not in errors, errors
        *_, answer, alone = out.splitlines()
        answers.append(json.loads(answer))
        assert json.loads(alone) == [len(answers) - 1]
    common = [[[1, i, 2**40] for i in range(3)], [True, True], {"host": 0}, [7, 7, 7], 10]
    assert answers == [[[0, 2, 4], *common, True], [[1, 3], *common, False]]


FAILURE = """
with host(index) as hosts:
    hosts.set_resume_hint("resume with: a command")
    if index == FAILS:
        raise AsapError("the disk is full")
    hosts.all_gather(0)
"""


@pytest.mark.parametrize("fails", [0, 1])
def test_an_error_of_one_host_ends_the_other_with_a_hint(fails, start_hosts):
    processes = start_hosts(FAILURE.replace("FAILS", str(fails)))
    failed, other = processes[fails], processes[1 - fails]
    (error,) = error_lines(failed)
    assert error == "Error: the disk is full" and failed.returncode == 3
    *_, hint = error_lines(other)
    assert "another host failed or was lost" in hint and hint.endswith("resume with: a command")
    assert other.returncode != 0


SILENCE = """
distributed.HEARTBEAT_SECONDS = 2
with host(index) as hosts:
    hosts.set_resume_hint("resume with: a command")
    if index == 1:
        print("silent", flush=True)
        os.kill(os.getpid(), signal.SIGSTOP)
    hosts.all_gather(0)
"""


def test_a_host_that_falls_silent_ends_the_other_with_a_hint(start_hosts):
    first, second = start_hosts(SILENCE)
    assert [line for line in error_lines(first) if line.endswith("resume with: a command")]
    assert first.returncode != 0 and second.poll() is None


DIFFERENT = """
if index == 1:
    distributed.package_version = lambda: "0.0"
with host(index) as hosts:
    pass
"""
DEVICES = """
os.environ["XLA_FLAGS"] = f"--xla_force_host_platform_device_count={1 + index}"
with host(index) as hosts:
    pass
"""


@pytest.mark.parametrize(
    ("code", "message"),
    [(DIFFERENT, "the hosts run asap-tf .*, 0.0;"), (DEVICES, "the hosts have 1, 2 devices;")],
)
def test_hosts_that_do_not_fit_together(code, message, start_hosts):
    for process in start_hosts(code):
        (error,) = error_lines(process)
        assert re.search(message, error) and process.returncode == 3


@pytest.mark.parametrize("index", [0, 1])
def test_a_host_that_waits_in_vain_says_for_what(index, start_hosts):
    code = "distributed.START_SECONDS = 1\nwith host(index): pass"
    (process,) = start_hosts(code, [index])
    (error,) = error_lines(process)
    assert "the hosts could not be connected" in error and "127.0.0.1:" in error
    assert process.returncode == -signal.SIGABRT


def test_a_port_that_another_program_has(start_hosts):
    with socket.create_server(("", free_port())) as server:
        port = server.getsockname()[1]
        code = f"with connect('2', 0, '127.0.0.1:{port}'): pass"
        (process,) = start_hosts(code, [0])
        (error,) = error_lines(process)
    assert f"127.0.0.1:{port}: it has to be a free port" in error and process.returncode != 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("0", None, None), "`hosts` 0: want a number from 1, or auto"),
        (("two", None, None), "`hosts` two: want a number from 1, or auto"),
        (("2", 0, None), "`hosts` 2 wants `host_id`, from 0, and `coordinator`, HOST:PORT"),
        (("2", 2, "a:1"), "`host_id` 2: want 0 to 1"),
        (("1", 0, None), "`host_id` and `coordinator` want `hosts`"),
        (("2", 1, "a"), "`coordinator` a: want HOST:PORT"),
        (("2", 1, "a:99999"), "`coordinator` a:99999: want HOST:PORT"),
    ],
)
def test_wrong_arguments(arguments, message):
    with pytest.raises(UsageError, match=re.escape(message)):
        connect(*arguments).__enter__()


def test_auto_where_there_is_no_cluster(start_hosts):
    (process,) = start_hosts("with connect('auto', None, None): pass", [0])
    (error,) = error_lines(process)
    assert "finds neither Slurm nor MPI nor a cloud" in error and process.returncode == 3


SLURM = """
port = int(sys.argv[2].rpartition(":")[2])
os.environ |= {
    "SLURM_JOB_ID": "1", "SLURM_STEP_NODELIST": "127.0.0.1", "SLURM_NTASKS": "2",
    "SLURM_PROCID": str(index), "SLURM_LOCALID": str(index), "JAX_COORDINATOR_PORT": str(port),
}
with connect("auto", None, None) as hosts:
    print(json.dumps([hosts.index, hosts.count]))
"""


def test_auto_under_slurm(start_hosts):
    for i, process in enumerate(start_hosts(SLURM)):
        out, errors = process.communicate(timeout=300)
        assert process.returncode == 0, errors
        assert json.loads(out.splitlines()[-1]) == [i, 2]
