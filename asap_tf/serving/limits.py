"""What strangers may ask of the service at once, and the refusal of more."""

from __future__ import annotations

import asyncio
import contextlib
import hmac
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass

from fastapi import HTTPException, Request
from fastapi.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

RETRY_SECONDS = 1
"""What a client that was refused for lack of room is asked to wait."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Bounds of the service.

    Attributes:
        in_flight: Requests whose body has come and whose answer is not ready.
        body_bytes: Bytes of a body.
        held_bytes: Bytes of all bodies, those that are on their way included.
        frames: Frames of a request, each of which takes its time whatever its size.
        pixels: Pixels of an image, or of all frames of a request.
        held_pixels: Pixels of all decoded frames, those that wait for the network included.
        json_bytes: Bytes of JSON in a request: others wait while it is parsed.
        json_labels: Labels in JSON in an answer.
        head_seconds: Seconds for a request's line and headers, and to an idle connection.
        body_seconds: Seconds before the first rate of a body is judged.
        body_rate: Bytes a second below which a body is cut off after that.
        answer_seconds: Seconds in which a client has to take an answer.
        drain_seconds: Seconds after SIGTERM for the requests in flight.
        connections: Connections at once.
    """

    in_flight: int = 64
    body_bytes: int = 32_000_000
    held_bytes: int = 256_000_000
    frames: int = 16
    pixels: int = 25_000_000
    held_pixels: int = 50_000_000
    json_bytes: int = 8_000_000
    json_labels: int = 2_000_000
    head_seconds: float = 10.0
    body_seconds: float = 10.0
    body_rate: float = 64_000.0
    answer_seconds: float = 60.0
    drain_seconds: float = 60.0
    connections: int = 512


class Room:
    """What is held for the requests of one service."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._bytes = 0
        self._free_pixels = limits.held_pixels
        self._turn = asyncio.Lock()
        self._freed = asyncio.Event()
        self.in_flight = 0

    def require(self) -> None:
        """Refuses a request by 503 if as many are in flight as may be."""
        if self.in_flight >= self._limits.in_flight:
            raise refused(503, f"{self.in_flight} requests are in flight; ask again in a moment")

    @contextlib.contextmanager
    def place(self) -> Iterator[None]:
        """A place in flight; 503 if there is none."""
        self.require()
        self.in_flight += 1
        try:
            yield
        finally:
            self.in_flight -= 1

    @contextlib.asynccontextmanager
    async def body(self, request: Request) -> AsyncIterator[bytes]:
        """The body of a request, held for as long as the context lasts.

        Raises:
            HTTPException: 413 if it is too long, 415 if it is compressed, 408 if it comes too
                slowly, 503 if bodies fill the memory.
            ClientDisconnect: if the client hangs up.
        """
        body = bytearray()
        try:
            await self._read(request, body)
            yield bytes(body)
        finally:
            self._bytes -= len(body)

    async def _read(self, request: Request, body: bytearray) -> None:
        limits, headers = self._limits, request.headers
        if headers.get("content-encoding", "identity") != "identity":
            raise refused(415, "the body is compressed; send it as it is")
        # What it announces is refused before it comes; what it does not is counted.
        if int(headers.get("content-length", 0)) > limits.body_bytes:
            raise _too_long(limits.body_bytes)
        start = asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout(limits.body_seconds) as deadline:
                async for chunk in request.stream():
                    if len(body) + len(chunk) > limits.body_bytes:
                        raise _too_long(limits.body_bytes)
                    if self._bytes + len(chunk) > limits.held_bytes:
                        raise refused(503, "other requests fill the memory; ask again in a moment")
                    body += chunk
                    self._bytes += len(chunk)
                    seconds = limits.body_seconds + len(body) / limits.body_rate
                    deadline.reschedule(start + seconds)
        except TimeoutError:
            raise refused(
                408, f"the body came too slowly: {len(body)} bytes were here in time"
            ) from None

    @contextlib.asynccontextmanager
    async def pixels(self, count: int) -> AsyncIterator[None]:
        """Memory for decoded frames, waited for in the order of the requests.

        Raises:
            HTTPException: 413 if it is more than a request may have.
        """
        if count > self._limits.pixels:
            most = self._limits.pixels / 1e6
            raise refused(413, f"{count} pixels; at most {most:g} million are taken")
        # Whoever comes first waits first: small frames do not overtake a large one for ever.
        async with self._turn:
            while self._free_pixels < count:
                self._freed.clear()
                await self._freed.wait()
            self._free_pixels -= count
        try:
            yield
        finally:
            self._free_pixels += count
            self._freed.set()


class TokenRequired:
    """ASGI middleware: 401 without the token, but on paths that say nothing of the model.

    Args:
        app: The application.
        token: What has to follow `Authorization: Bearer`.
        open_paths: Paths that anybody may ask for.
    """

    def __init__(self, app: ASGIApp, token: str, open_paths: frozenset[str]) -> None:
        self._app = app
        self._expected = f"Bearer {token}".encode()
        self._open_paths = open_paths

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        app = self._app
        if scope["type"] == "http" and scope["path"] not in self._open_paths:
            given = dict(scope["headers"]).get(b"authorization", b"")
            if not hmac.compare_digest(given, self._expected):
                app = JSONResponse(
                    {"error": "a token is needed: Authorization: Bearer TOKEN"},
                    401,
                    {"WWW-Authenticate": "Bearer"},
                )
        await app(scope, receive, send)


def refused(status: int, text: str) -> HTTPException:
    """The answer to a request that is refused, with the headers that belong to its status."""
    headers = {503: {"Retry-After": str(RETRY_SECONDS)}, 408: {"Connection": "close"}}
    return HTTPException(status, text, headers.get(status))


def _too_long(most: int) -> HTTPException:
    return refused(413, f"the body is too long; at most {most / 1e6:g} MB are taken")
