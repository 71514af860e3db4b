from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys

import numpy as np
import pytest

from asap_tf import load
from support.serving import ask, pixels, png

COMMAND = [sys.executable, "-c", "from asap_tf.cli import main; main()", "serve"]


def test_it_serves_a_model_until_it_is_asked_to_end(artifact):
    with subprocess.Popen(
        [*COMMAND, str(artifact), "--port", "0"],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    ) as process:
        try:
            address, _, rest = process.stdout.readline().partition("  ")
            assert address.startswith("http://127.0.0.1:") and "LiteRT" in rest
            port = int(address.rpartition(":")[2])
            frame = np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)
            labels = pixels(ask(port, "/predict", png(frame)).body)
            np.testing.assert_array_equal(labels, load(artifact).predict(frame[None])[0])
            assert json.loads(ask(port, "/v2/models/asap_fp32").body)["platform"] == "litert"
            process.send_signal(signal.SIGTERM)
            assert process.wait(20) == 0
        finally:
            process.kill()


@pytest.mark.parametrize("token", [None, "", "short", "0123456789abcdeé"])
def test_beyond_this_machine_a_token_is_needed(asap, artifact, token):
    options = [] if token is None else ["--token", token]
    result = asap("serve", artifact, "--host", "0.0.0.0", "--port", "0", *options)
    assert result.code == 2 and "--token" in result.err


def test_an_address_that_is_taken(asap, artifact):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        result = asap("serve", artifact, "--port", port)
    assert result.code == 2 and f"--port {port}" in result.err


@pytest.mark.parametrize("place", [("--port", "99999"), ("--host", "192.0.2.1")])
def test_an_address_that_is_not_here(asap, artifact, place):
    result = asap("serve", artifact, *place, "--token", "0123456789abcdef")
    assert result.code == 2 and place[1] in result.err


def test_frames_of_any_size_would_take_all_memory(asap, model):
    result = asap("serve", model, "--size", "native", "--port", "0")
    assert result.code == 2 and "--size" in result.err


def test_a_page_that_is_none(asap, model, tmp_path):
    result = asap("serve", model, "--page", tmp_path, "--port", "0")
    assert result.code == 2 and f"--page {tmp_path}" in result.err
