"""Strangers: more than there is room for, and all that is no request for labels."""

from __future__ import annotations

import contextlib
import io
import json
import re
import socket
import struct
import time
import zlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

from asap_tf.serving.app import create_app
from asap_tf.serving.limits import Limits
from asap_tf.serving.server import create_server
from support.serving import (
    Held,
    ask,
    gray_frame,
    head,
    held_segmenter,
    metric,
    pixels,
    png,
    running,
    send,
    started,
    wait_until,
)

FEW = Limits(
    in_flight=3,
    body_bytes=100_000,
    held_bytes=1_000_000,
    pixels=10_000,
    held_pixels=20_000,
)
HASTY = Limits(head_seconds=0.3, body_seconds=0.3, body_rate=1e9)
GOOD = png(gray_frame(2))


@pytest.fixture
def port(network):
    with running(held_segmenter(network), FEW) as port:
        yield port
        network.may_go.set()


def assert_healthy(port: int) -> None:
    answer = ask(port, "/predict", GOOD)
    assert answer.status == 200
    np.testing.assert_array_equal(pixels(answer.body), 2)
    wait_until(lambda: metric(port, "asap_tf_in_flight ") == 0)


def in_flight(port: int, count: int) -> None:
    wait_until(lambda: metric(port, "asap_tf_in_flight ") == count)


def bomb(width: int, height: int) -> bytes:
    """A PNG that claims these sides, with next to nothing in it."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        crc = struct.pack(">I", zlib.crc32(kind + content))
        return struct.pack(">I", len(content)) + kind + content + crc

    size = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    rows = chunk(b"IDAT", zlib.compress(bytes(1000)))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", size) + rows + chunk(b"IEND", b"")


def test_beyond_the_places_there_is_503(port, network):
    network.may_go.clear()
    with ThreadPoolExecutor(3) as clients:
        answers = [clients.submit(ask, port, "/predict", GOOD) for _ in range(3)]
        in_flight(port, 3)
        refused = ask(port, "/predict", GOOD)
        assert refused.status == 503 and int(refused.headers["retry-after"]) > 0
        assert ask(port, "/health").status == 200
        network.may_go.set()
        assert [answer.result().status for answer in answers] == [200] * 3
    assert_healthy(port)


def test_bodies_on_their_way_take_no_places(port):
    slow = [send(port, head(1000) + b"a") for _ in range(10)]
    assert_healthy(port)
    for connection in slow:
        connection.close()


def test_all_bodies_together_are_bounded(network):
    limits = Limits(held_bytes=50_000)
    with running(held_segmenter(network), limits) as port:
        waits = send(port, head(45_000) + bytes(40_000))
        wait_until(lambda: ask(port, "/predict", bytes(20_000)).status == 503)
        waits.close()
        wait_until(lambda: ask(port, "/predict", bytes(20_000)).status == 400)


def test_a_client_that_hangs_up_leaves_its_place():
    network = Held(batch=1)
    network.may_go.clear()
    with running(held_segmenter(network), FEW) as port:
        gone = [send(port, head(len(GOOD)) + GOOD) for _ in range(3)]
        in_flight(port, 3)
        wait_until(lambda: network.calls)
        for connection in gone:
            connection.close()
        in_flight(port, 0)
        network.may_go.set()
        assert_healthy(port)
    # The one that the network had begun, and the last; the others were left out.
    assert len(network.calls) == 2


@pytest.fixture
def hasty_port(network):
    with running(held_segmenter(network), HASTY) as port:
        yield port
        assert ask(port, "/health").status == 200


def test_a_slow_body_is_cut_off(hasty_port):
    with contextlib.closing(send(hasty_port, head(1000) + b"a")) as connection:
        assert connection.recv(1000).startswith(b"HTTP/1.1 408 ")
        while connection.recv(1000):
            pass


def test_a_slow_head_is_cut_off(hasty_port):
    with contextlib.closing(send(hasty_port, b"POST /predict HTTP/1.1\r\nHos")) as connection:
        assert connection.recv(1000).startswith(b"HTTP/1.1 408 ")
        assert connection.recv(1000) == b""


def test_a_silent_connection_is_closed(hasty_port):
    with contextlib.closing(send(hasty_port, b"")) as connection:
        assert connection.recv(1000) == b""


def test_an_answer_that_nobody_takes_is_dropped(network):
    body = png(np.random.default_rng(0).integers(0, 256, (2000, 2000, 3), np.uint8))
    with (
        running(held_segmenter(network), Limits(answer_seconds=0.3)) as port,
        socket.socket() as connection,
    ):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        connection.connect(("127.0.0.1", port))
        connection.sendall(head(len(body), "/predict?format=overlay") + body)
        first = connection.recv(1000)
        length = int(re.search(rb"content-length: (\d+)", first)[1])
        time.sleep(1)
        received = 0
        with contextlib.suppress(ConnectionResetError):
            while chunk := connection.recv(1 << 20):
                received += len(chunk)
        assert received + len(first) < length


def test_large_frames_wait_for_memory_in_their_turn(network):
    limits = Limits(pixels=2048, held_pixels=2048)
    with running(held_segmenter(network), limits) as port, ThreadPoolExecutor(8) as clients:
        jobs = [clients.submit(ask, port, "/predict", png(gray_frame(i % 4))) for i in range(8)]
        for i, job in enumerate(jobs):
            np.testing.assert_array_equal(pixels(job.result().body), i % 4)
    assert {shape[0] for shape in network.calls} == {1}


def v2(shape, data: bytes, **head_changes) -> tuple[str, bytes, dict[str, str]]:
    tensor = {"name": "frames", "datatype": "UINT8", "shape": shape}
    parameters = {"binary_data_size": len(data)}
    text = json.dumps({"inputs": [{**tensor, "parameters": parameters, **head_changes}]}).encode()
    headers = {"Inference-Header-Content-Length": str(len(text))}
    return "/v2/models/model/infer", text + data, headers


def jpeg() -> bytes:
    file = io.BytesIO()
    Image.fromarray(gray_frame(1)).save(file, "JPEG")
    return file.getvalue()


FORM = "multipart/form-data"
FIELD = b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n'
FILE = b'--x\r\nContent-Disposition: form-data; name="a"; filename="b"\r\n\r\n'


def form(body: bytes) -> tuple[str, bytes, dict[str, str]]:
    return "/predict", body, {"Content-Type": f"{FORM}; boundary=x"}


BAD = {
    "nothing": (400, "/predict", b"", {}),
    "text": (400, "/predict", b"an image", {}),
    "a program": (400, "/predict", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", {}),
    "half a PNG": (400, "/predict", png(gray_frame(1, (90, 90)))[:100], {}),
    "half a JPEG": (400, "/predict", jpeg()[:300], {}),
    "a bomb": (413, "/predict", bomb(60_000, 60_000), {}),
    "a little too large": (413, "/predict", bomb(101, 100), {}),
    "too long": (413, "/predict", bytes(100_001), {}),
    "compressed": (415, "/predict", zlib.compress(GOOD), {"Content-Encoding": "deflate"}),
    "an unknown format": (400, "/predict?format=exe", GOOD, {}),
    "an unknown flag": (400, "/predict?polygons=maybe", GOOD, {}),
    "a form without end": (400, *form(FILE + GOOD)),
    "a form without a file": (400, *form(FIELD + b"1\r\n--x--\r\n")),
    "a form of two files": (400, *form(FILE + GOOD + b"\r\n" + FILE + GOOD + b"\r\n--x--\r\n")),
    "a form without a boundary": (400, "/predict", b"--x--", {"Content-Type": FORM}),
    "a form that is none": (400, *form(GOOD)),
    "a form of dashes": (400, *form(FILE + b"\r\n-" * 30_000)),
    "an unknown path": (404, "/predictions", GOOD, {}),
    "another model": (404, "/v2/models/other/infer", b"{}", {}),
    "a tensor too large": (413, *v2([1, 101, 100, 3], bytes(30_300))),
    "too many frames": (413, *v2([17, 2, 2, 3], bytes(204))),
    "a tensor too short": (400, *v2([1, 100, 100, 3], bytes(30))),
    "a tensor of floats": (400, *v2([1, 2, 2, 3], bytes(12), datatype="FP32")),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_requests_are_refused_and_harm_nobody(port, case):
    status, path, body, headers = BAD[case]
    for _ in range(10):
        answer = ask(port, path, body, headers)
        assert answer.status == status and json.loads(answer.body)["error"].isprintable()
    assert_healthy(port)


@pytest.mark.parametrize(
    "raw",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"POST /predict HTTP/1.1\r\n\r\n",
        b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        b"POST /predict HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"GET /" + b"a" * 100_000,
    ],
)
def test_what_is_no_http_is_refused(port, raw):
    with contextlib.closing(send(port, raw)) as connection:
        assert connection.recv(1000).startswith(b"HTTP/1.1 4")
    assert_healthy(port)


def test_a_long_body_of_unknown_length_is_refused(port):
    body = iter([bytes(50_000)] * 3)
    assert ask(port, "/predict", body).status == 413
    assert_healthy(port)


def test_hanging_up_anywhere_harms_nobody(port):
    whole = head(len(GOOD)) + GOOD
    for end in range(1, len(whole), 7):
        send(port, whole[:end]).close()
    assert_healthy(port)


def test_only_with_the_token(network):
    token = "0123456789abcdef"
    with running(held_segmenter(network), token=token) as port:
        for given in ({}, {"Authorization": token}, {"Authorization": f"Bearer {token}x"}):
            for path, body in (("/predict", GOOD), ("/metrics", None), ("/v2/models/model", None)):
                refused = ask(port, path, body, given)
                assert refused.status == 401 and "www-authenticate" in refused.headers
        for path in ("/", "/health", "/v2/health/live", "/v2/health/ready"):
            assert ask(port, path).status == 200
        allowed = {"Authorization": f"Bearer {token}"}
        assert ask(port, "/predict", GOOD, allowed).status == 200
        assert b"asap_tf_frames_total 1.0" in ask(port, "/metrics", headers=allowed).body


def test_a_short_answer_is_sent_at_once(segmenter):
    server = create_server(create_app(segmenter, "model"))
    with started(server) as port, socket.create_connection(("127.0.0.1", port)):
        wait_until(lambda: server.server_state.connections)
        (connection,) = server.server_state.connections
        accepted = connection.transport.get_extra_info("socket")
        assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
