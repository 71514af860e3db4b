"""The server: a socket, connections that do not outlive their welcome, and a quiet end."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Callable
from pathlib import Path

import h11
import numpy as np
import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.h11_impl import H11Protocol

from asap_tf.core.errors import UsageError
from asap_tf.core.signals import stop_on_signals
from asap_tf.runtime import Segmenter
from asap_tf.serving.app import create_app
from asap_tf.serving.limits import Limits

_LEAST_TOKEN = 16
_BACKLOG = 1024
_TYPICAL_FRAME = (720, 1280)

_TOO_SLOW = b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


def serve(
    segmenter: Segmenter,
    name: str,
    host: str = "127.0.0.1",
    port: int = 8000,
    token: str | None = None,
    page: Path | None = None,
    limits: Limits | None = None,
    on_ready: Callable[[str], None] | None = None,
) -> None:
    """Serves a model until SIGTERM or SIGINT; what was asked by then is answered.

    Args:
        segmenter: What labels, at a size: strangers' frames may have any.
        name: What the model is called in addresses and answers.
        host: Address to listen at.
        port: Port to listen at; 0 takes a free one.
        token: What clients have to show; needed beyond this machine.
        page: As of `create_app`.
        limits: Bounds; None for the usual ones.
        on_ready: Function called with the service's address once requests are answered.

    Raises:
        UsageError: if the model has no size, `page` is no page, a token is missing or short, or the
            address cannot be listened at.
    """
    if segmenter.size is None:
        raise UsageError(
            "the model takes frames of any size, and so would the service: give `size`, such as "
            "1024 or 512x1024"
        )
    if page is not None and not (page / "index.html").is_file():
        raise UsageError(
            f"`page` {page}: no folder of `asap-tf export --web`: it has no index.html"
        )
    _check_token(host, token)
    listener = _listener(host, port)
    # The first frame takes long in most runtimes.
    size = segmenter.network_size(_TYPICAL_FRAME)
    segmenter.predict(np.zeros((1, *size, 3), np.uint8))
    server = create_server(create_app(segmenter, name, limits, token, page), limits)
    address, bound, *_ = listener.getsockname()
    if on_ready:
        on_ready(f"http://[{address}]:{bound}" if ":" in address else f"http://{address}:{bound}")
    # Uvicorn raises the signal that has ended it once more: this is where that ends.
    with stop_on_signals():
        server.run(sockets=[listener])


def create_server(app: FastAPI, limits: Limits | None = None) -> uvicorn.Server:
    """A server that holds no connection longer than the limits say.

    Args:
        app: What it serves.
        limits: Bounds; None for the usual ones.

    Examples:
        >>> create_server(app).run(sockets=[listener])
    """
    limits = limits or Limits()
    config = uvicorn.Config(
        app,
        http=_connection(limits),
        ws="none",
        lifespan="on",
        log_level="warning",
        access_log=False,
        server_header=False,
        backlog=_BACKLOG,
        limit_concurrency=limits.connections,
        timeout_graceful_shutdown=int(limits.drain_seconds),
    )
    return uvicorn.Server(config)


def _check_token(host: str, token: str | None) -> None:
    if token is None and not _is_loopback(host):
        raise UsageError(
            f"`host` {host}: others than this machine can reach it: give a `token`, or set "
            "ASAP_TF_TOKEN; this makes one: "
            "python -c 'import secrets; print(secrets.token_urlsafe(32))'"
        )
    if token is not None and (len(token) < _LEAST_TOKEN or not token.isascii()):
        raise UsageError(f"`token`: at least {_LEAST_TOKEN} characters of ASCII are needed")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _listener(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UsageError(
            f"`host` {host}, `port` {port}: cannot be listened at ({reason})"
        ) from error


def _connection(limits: Limits) -> type[H11Protocol]:
    """The class of connections; uvicorn waits for ever for a head, and for its answers to go."""

    class Connection(H11Protocol):
        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            # asyncio does it only for sockets that name their protocol. Without it the body of a
            # short answer waits 40 ms for the client's word that it has the head.
            connection = transport.get_extra_info("socket")
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._head_is_due: asyncio.TimerHandle | None = None
            self._answer_is_due: asyncio.TimerHandle | None = None
            self._await_head()

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            if self._is_answering():
                _cancel(self._head_is_due)

        def on_response_complete(self) -> None:
            super().on_response_complete()
            if not self._is_answering():
                self._await_head()

        def pause_writing(self) -> None:
            super().pause_writing()
            self._answer_is_due = self.loop.call_later(limits.answer_seconds, self.transport.abort)

        def resume_writing(self) -> None:
            super().resume_writing()
            _cancel(self._answer_is_due)

        def connection_lost(self, exc: Exception | None) -> None:
            super().connection_lost(exc)
            _cancel(self._head_is_due)
            _cancel(self._answer_is_due)

        def _is_answering(self) -> bool:
            return self.cycle is not None and not self.cycle.response_complete

        def _await_head(self) -> None:
            _cancel(self._head_is_due)
            self._head_is_due = self.loop.call_later(limits.head_seconds, self._cut)

        def _cut(self) -> None:
            if self.conn.their_state is h11.IDLE and self.conn.trailing_data[0]:
                self.transport.write(_TOO_SLOW)
            self.transport.close()

    return Connection


def _cancel(timer: asyncio.TimerHandle | None) -> None:
    if timer is not None:
        timer.cancel()
