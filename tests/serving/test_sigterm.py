"""The end of a service: what was asked is answered, once, and nothing new is taken."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from support.serving import ask, gray_frame, metric, pixels, png, wait_until

TESTS = Path(__file__).parents[1]


@pytest.fixture
def process():
    path = os.pathsep.join([str(TESTS), str(TESTS.parent), os.environ.get("PYTHONPATH", "")])
    command = [sys.executable, str(TESTS / "support/serving_process.py")]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": path}
    ) as process:
        yield process
        process.kill()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_what_is_in_flight_is_answered(process, number):
    port = int(process.stdout.readline().rpartition(":")[2])
    with ThreadPoolExecutor(8) as clients:
        jobs = [clients.submit(ask, port, "/predict", png(gray_frame(i % 4))) for i in range(8)]
        wait_until(lambda: metric(port, "asap_tf_in_flight ") == 8)
        process.send_signal(number)
        for i, job in enumerate(jobs):
            answer = job.result()
            assert answer.status == 200
            np.testing.assert_array_equal(pixels(answer.body), i % 4)
    assert process.wait(10) == 0
    assert int(process.stdout.readline()) == 8
    with pytest.raises(ConnectionRefusedError):
        ask(port, "/health")


def test_of_a_stream_of_requests_none_is_lost_or_answered_twice(process):
    """Clients that go on asking: a request is answered whole, or its connection not taken."""
    port = int(process.stdout.readline().rpartition(":")[2])
    answered, broken = [], []
    asked = threading.Event()

    def client(label: int) -> None:
        while True:
            try:
                answer = ask(port, "/predict", png(gray_frame(label)))
            except ConnectionRefusedError:
                return
            except OSError as error:
                broken.append(error)
                return
            asked.set()
            assert answer.status == 200 and pixels(answer.body).max() == label
            answered.append(label)

    with ThreadPoolExecutor(4) as clients:
        jobs = [clients.submit(client, label) for label in range(4)]
        assert asked.wait(20)
        process.send_signal(signal.SIGTERM)
        for job in jobs:
            job.result()
    assert process.wait(10) == 0
    # A connection that is made in the moment in which the socket closes is reset, unread.
    assert int(process.stdout.readline()) == len(answered)
    assert len(broken) <= len(jobs)
