"""A service in a thread, clients of it, and a network that answers when it is let."""

from __future__ import annotations

import contextlib
import http.client
import io
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import uvicorn
from PIL import Image

from asap_tf.core.labels import LabelClass
from asap_tf.runtime import Segmenter
from asap_tf.runtime.network import Network
from asap_tf.serving.app import create_app
from asap_tf.serving.limits import Limits
from asap_tf.serving.server import create_server


class Held(Network):
    """Labels by the brightness of the first pixel, 0 to 3; each call waits until it may go."""

    format, runtime, size, num_classes = "held", "none", None, 4

    def __init__(self, batch: int | None = None, seconds: float = 0.0) -> None:
        self.batch, self.seconds, self.metadata = batch, seconds, {}
        self.may_go = threading.Event()
        self.may_go.set()
        self.calls: list[tuple[int, ...]] = []

    def labels(self, frames, size, out=None):
        self.calls.append(frames.shape)
        assert self.may_go.wait(30)
        time.sleep(self.seconds)
        labels = np.broadcast_to(frames[:, :1, :1, 0] // 64, (len(frames), *size))
        if out is None:
            return labels
        np.copyto(out, labels)
        return out

    def probabilities(self, frames, size):
        raise NotImplementedError

    def logit_bands(self, frame, size):
        raise NotImplementedError


def held_segmenter(network: Held) -> Segmenter:
    classes = [LabelClass(f"c{i}", (80 * i, 0, 0), "x", i) for i in range(4)]
    return Segmenter(network, classes, (32, 64))


def gray_frame(label: int, size: tuple[int, int] = (32, 64)) -> np.ndarray:
    """A frame of which `Held` makes this label everywhere."""
    return np.full((*size, 3), 64 * label + 32, np.uint8)


def png(array: np.ndarray, **options) -> bytes:
    file = io.BytesIO()
    Image.fromarray(array).save(file, "PNG", **options)
    return file.getvalue()


def pixels(content: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(content)) as image:
        return np.asarray(image)


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes


def ask(port: int, path: str, body=None, headers=None, method: str | None = None) -> Answer:
    """One request on a connection of its own."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    with contextlib.closing(connection):
        connection.request(method or ("GET" if body is None else "POST"), path, body, headers or {})
        response = connection.getresponse()
        given = {name.lower(): value for name, value in response.getheaders()}
        return Answer(response.status, given, response.read())


def send(port: int, raw: bytes) -> socket.socket:
    """A connection on which these bytes have been sent, and nothing else."""
    connection = socket.create_connection(("127.0.0.1", port), timeout=30)
    connection.sendall(raw)
    return connection


def head(length: int, path: str = "/predict") -> bytes:
    return f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n".encode()


def metric(port: int, name: str) -> float:
    lines = ask(port, "/metrics").body.decode().splitlines()
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(name))


def wait_until(condition, seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come to that"
        time.sleep(0.01)


@contextlib.contextmanager
def running(
    segmenter: Segmenter,
    limits: Limits | None = None,
    token: str | None = None,
    page: Path | None = None,
) -> Iterator[int]:
    """A service in a thread of this process; its port."""
    with started(
        create_server(create_app(segmenter, "model", limits, token, page), limits)
    ) as port:
        yield port


@contextlib.contextmanager
def started(server: uvicorn.Server) -> Iterator[int]:
    """A server in a thread of this process; its port."""
    listener = socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        server.should_exit = True
        thread.join(30)
        assert not thread.is_alive()
