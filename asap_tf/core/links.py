"""Connections between hosts: messages, and the meeting at the start."""

from __future__ import annotations

import contextlib
import json
import queue
import socket
import struct
import threading
import time
from multiprocessing.connection import Connection
from typing import Any

from asap_tf import __version__
from asap_tf.core.errors import AsapError, first_line

START_SECONDS = 300.0
"""For all hosts to come."""
SILENCE_SECONDS = 20.0
"""Without a sign of life, after which a host is lost."""
ANSWER_SECONDS = 2.0
"""For who has connected to say who it is."""


class Link:
    """The connection to another host; messages are a kind and a value, as JSON can hold it."""

    def __init__(self, over: socket.socket):
        over.setblocking(True)  # A long message is more than one write.
        # Whoever breaks off within a message must not be waited for without an end.
        patience = struct.pack("ll", *divmod(round(SILENCE_SECONDS * 1e6), 10**6))
        over.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, patience)
        self.values: queue.Queue[Any] = queue.Queue()
        self._connection = Connection(over.detach())
        self._lock = threading.Lock()

    def send(self, kind: str, value: Any = None) -> None:
        """Sends a message; whether it arrives is for the watch to find out."""
        with self._lock, contextlib.suppress(OSError):
            self._connection.send_bytes(json.dumps([kind, value]).encode())

    def receive(self, seconds: float) -> tuple[str, Any]:
        """The next message.

        Raises:
            AsapError: saying why there is none.
        """
        try:
            if not self._connection.poll(max(0.0, seconds)):
                raise AsapError(f"no sign of life for {seconds:.0f} s")
            kind, value = json.loads(self._connection.recv_bytes())
            return kind, value
        except (EOFError, OSError):
            raise AsapError("its connection broke") from None
        except (ValueError, TypeError):
            raise AsapError("it does not speak as asap-tf does") from None


def meet(id: int, count: int, address: str, port: int) -> tuple[dict[int, Link], list[str], int]:
    """Waits until all hosts have come, and links them to host 0.

    Args:
        id: This host.
        count: Of hosts.
        address: Of host 0.
        port: On which it listens.

    Returns:
        By host, the links from this one; the names of all; and a port of host 0 free for JAX.

    Raises:
        AsapError: if some did not come in time, naming them.
    """
    hello = {"host": id, "of": count, "version": __version__, "name": socket.gethostname()}
    deadline = time.monotonic() + START_SECONDS
    if id == 0:
        links, names = await_others(port, hello, deadline)
        with socket.socket() as probe:
            probe.bind(("", 0))
            welcome = {"names": names, "jax_port": probe.getsockname()[1]}
        for link in links.values():
            link.send("welcome", welcome)
    else:
        link = Link(connect(address, port, deadline))
        link.send("hello", hello)
        try:
            # Host 0 may have begun to wait as much later as this one was early.
            kind, welcome = link.receive(START_SECONDS + SILENCE_SECONDS)
        except AsapError as error:
            raise AsapError(f"host 0 at {address}:{port} is lost: {error}") from None
        if kind != "welcome":
            raise AsapError(str(welcome))
        links = {0: link}
    return links, welcome["names"], int(welcome["jax_port"])


def await_others(
    port: int, own: dict[str, Any], deadline: float
) -> tuple[dict[int, Link], list[str]]:
    """On host 0: takes every other host's connection.

    Returns:
        The links by host, and the names of all hosts.

    Raises:
        AsapError: if the port cannot be had, or some did not come.
    """
    count, names = int(own["of"]), {0: str(own["name"])}
    links: dict[int, Link] = {}
    try:
        server = socket.create_server(("", port), backlog=count)
    except OSError as error:
        raise AsapError(f"--coordinator: port {port} of this host: {error.strerror}") from error
    with server:
        while len(names) < count:
            server.settimeout(max(0.01, deadline - time.monotonic()))
            try:
                link = Link(server.accept()[0])
            except TimeoutError:
                missing = ", ".join(str(i) for i in range(count) if i not in names)
                message = (
                    f"host {missing} of {count} did not come within {START_SECONDS:.0f} s; "
                    "see what it says itself, then start all again"
                )
                for link in links.values():
                    link.send("stopped", message)
                raise AsapError(message) from None
            try:
                _, hello = link.receive(ANSWER_SECONDS)
                host, name = int(hello["host"]), str(hello["name"])
                same = all(hello[key] == own[key] for key in ("of", "version"))
            except (AsapError, KeyError, TypeError, ValueError):
                continue  # Not one of ours.
            if same and host not in names:
                links[host], names[host] = link, name
                continue
            link.send(
                "stopped",
                f"host 0 refuses host {host} of {hello['of']} with asap-tf {hello['version']}: it "
                f"expects {count} hosts with {own['version']}, each of them once",
            )
    return links, [names[i] for i in range(count)]


def connect(address: str, port: int, deadline: float) -> socket.socket:
    """Connects to host 0, as soon as it is there.

    Raises:
        AsapError: if it is not in time.
    """
    while True:
        try:
            return socket.create_connection((address, port), 10.0)
        except OSError as error:
            if time.monotonic() > deadline:
                raise AsapError(
                    f"host 0 did not answer at {address}:{port} within {START_SECONDS:.0f} s "
                    f"({first_line(error)}); is it running, and is this its address?"
                ) from error
            time.sleep(0.2)
