"""From a request's body to its answer: what `/predict` and the V2 protocol share."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from fastapi import Request, Response
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from asap_tf.core.system import available_cores
from asap_tf.serving.limits import Limits, Room
from asap_tf.serving.worker import Labeled, Worker

if TYPE_CHECKING:
    from asap_tf.runtime import Segmenter

Result = TypeVar("Result")

_GONE = 499
"""Status by which clients that hung up are counted; nobody reads it."""

_CODERS = 4
"""Most threads that decode and encode."""

_SECONDS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
"""Bounds of the buckets of the latency's histogram."""


class Metrics:
    """What Prometheus is told, in a registry of its own."""

    def __init__(self, room: Room) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "asap_tf_requests", "Requests for labels.", ["status"], registry=self.registry
        )
        self.seconds = Histogram(
            "asap_tf_request_seconds",
            "From a request's head to its answer.",
            registry=self.registry,
            buckets=_SECONDS,
        )
        self.frames = Counter("asap_tf_frames", "Frames labeled.", registry=self.registry)
        in_flight = Gauge(
            "asap_tf_in_flight", "Requests whose answer is not ready.", registry=self.registry
        )
        in_flight.set_function(lambda: room.in_flight)


class Service:
    """A segmenter behind bounds: frames are decoded by a few threads and labeled by one.

    Args:
        segmenter: What labels.
        name: What the model is called.
        limits: Bounds.
    """

    def __init__(self, segmenter: Segmenter, name: str, limits: Limits) -> None:
        self.segmenter = segmenter
        self.name = name
        self.limits = limits
        self.room = Room(limits)
        self.metrics = Metrics(self.room)
        self._worker = Worker(segmenter)
        self._coders = ThreadPoolExecutor(min(_CODERS, available_cores()), "images")

    def close(self) -> None:
        """Ends the threads, once they have nothing to do."""
        self._worker.close()
        self._coders.shutdown()

    async def answer(
        self, request: Request, work: Callable[[bytes], Awaitable[Response]]
    ) -> Response:
        """Reads a body and works on it within the bounds, for as long as the client waits.

        Args:
            request: Request whose body has not been read.
            work: From the body to the answer.
        """
        start = time.perf_counter()
        status = 500
        try:
            self.room.require()
            async with self.room.body(request) as body:
                with self.room.place():
                    response = await _while_connected(request, work(body))
            status = response.status_code
            return response
        except HTTPException as error:
            status = error.status_code
            raise
        except ClientDisconnect:
            status = _GONE
            return Response(status_code=_GONE)
        finally:
            self.metrics.requests.labels(status).inc()
            self.metrics.seconds.observe(time.perf_counter() - start)

    async def in_thread(self, function: Callable[..., Result], *arguments: object) -> Result:
        """Runs a function where the event loop does not wait for it."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._coders, function, *arguments)

    async def labels(self, frames: np.ndarray) -> Labeled:
        """Labels of frames, uint8 `(N, H, W, 3)`, in their turn."""
        labeled = await asyncio.wrap_future(self._worker.submit(frames))
        self.metrics.frames.inc(len(frames))
        return labeled


async def _while_connected(request: Request, work: Awaitable[Response]) -> Response:
    """The result of some work, which is given up if the client hangs up.

    Raises:
        ClientDisconnect: if it does.
    """
    async with _task(work) as working, _task(_disconnected(request)) as leaving:
        both: set[asyncio.Future[Any]] = {working, leaving}
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise ClientDisconnect
        return await working


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


@asynccontextmanager
async def _task(work: Awaitable[Result]) -> AsyncIterator[asyncio.Future[Result]]:
    """Work that goes on beside the context, and no longer than it."""
    task = asyncio.ensure_future(work)
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.wait({task})
