"""Hosts that are threads of this process, for what only depends on `Hosts.all_gather`."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from asap_tf.core.distributed import Hosts


class ThreadHosts(Hosts):
    values: list[Any] = [None, None]
    barrier = threading.Barrier(2, timeout=60)

    def all_gather(self, value: Any) -> list[Any]:
        self.values[self.index] = json.dumps(value)
        self.barrier.wait()
        values = [json.loads(value) for value in self.values]
        self.barrier.wait()
        return values


def on_two_hosts(function: Callable[[Hosts], Any]) -> list[Any]:
    """What a function returns on either of two hosts."""
    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(lambda i: function(ThreadHosts(i, 2)), range(2)))
