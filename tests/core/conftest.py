from __future__ import annotations

import os
import subprocess
import sys

import pytest

from support.hosts import free_port

HOST = """
import json, os, signal, sys
from asap_tf.core import distributed
from asap_tf.core.errors import AsapError
from asap_tf.core.distributed import connect, leave

def host(index, count=2):
    return connect(str(count), index, sys.argv[2])

index = int(sys.argv[1])
try:
    exec(sys.argv[3])
except AsapError as error:
    print(f"Error: {error}", file=sys.stderr)
    leave(3)
"""


@pytest.fixture
def start_hosts():
    """Starts some lines of Python in a process for each of some hosts, which know their `index`."""
    started = []

    def start(code: str, indices=(0, 1)) -> list[subprocess.Popen]:
        coordinator = f"127.0.0.1:{free_port()}"
        for i in indices:
            command = [sys.executable, "-c", HOST, str(i), coordinator, code]
            environment = {**os.environ, "JAX_PLATFORMS": "cpu"}
            pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
            started.append(subprocess.Popen(command, env=environment, **pipes))
        return started

    yield start
    for process in started:
        process.kill()
        process.communicate()
