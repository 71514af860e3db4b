from __future__ import annotations

import socket
from concurrent.futures import ThreadPoolExecutor

import pytest

from asap_tf.core.distributed import joined


@pytest.fixture
def port() -> int:
    with socket.socket() as probe:
        probe.bind(("", 0))
        return probe.getsockname()[1]


@pytest.fixture
def two_hosts(port):
    """Runs a function of its host in two threads that have met; returns both results."""

    def run(function) -> list:
        def host(i: int):
            with joined("2", i, f"127.0.0.1:{port}") as place:
                return function(place)

        with ThreadPoolExecutor(2) as pool:
            return list(pool.map(host, range(2)))

    return run
