"""Being asked to end, and ending in one's own time."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from types import FrameType
from typing import Any

from asap_tf.core.errors import Interrupted


@dataclass
class Stop:
    """Becomes `requested` when the process is asked to end; holds the signal's number."""

    requested: int = 0

    def check(self, kept: str) -> None:
        """Ends the work if that was requested.

        Args:
            kept: What has been done, for people.

        Raises:
            Interrupted: if it was.
        """
        if self.requested:
            raise Interrupted(f"stopped; {kept}", self.requested)


@contextlib.contextmanager
def stop_on_signals() -> Iterator[Stop]:
    """Turns the first SIGINT or SIGTERM into a request; a second one has its usual effect."""
    stop = Stop()
    before: dict[int, Any] = {}

    def request(number: int, frame: FrameType | None) -> None:
        stop.requested = number
        signal.signal(number, before[number])

    for number in (int(signal.SIGINT), int(signal.SIGTERM)):
        before[number] = signal.signal(number, request)
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
