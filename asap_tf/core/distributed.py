"""Several hosts at one piece of work: who is there, what they tell each other, who is lost.

JAX adds up gradients between hosts; all else goes over one connection from every host to host 0.
It also tells, long before JAX would, that a host is gone: then the others end, and say so.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any, NoReturn, TypeVar

import numpy as np

from asap_tf.core.errors import AsapError, UsageError
from asap_tf.core.links import SILENCE_SECONDS, START_SECONDS, Link, meet
from asap_tf.core.optional import require

BEAT_SECONDS = 3.0
"""Between two signs of life."""
GRACE_SECONDS = 2.0
"""For a host to end with its own words when another says that it stopped."""

Item = TypeVar("Item")


class Hosts:
    """The hosts at one piece of work, and this one's place among them; alone by default.

    Attributes:
        id: This host, from 0.
        count: How many there are.
        names: Of all of them.
        remedy: What to do when one is lost.

    Example:
        >>> Hosts(1, 4).share(range(10))
        range(1, 10, 4)
    """

    def __init__(
        self,
        id: int = 0,
        count: int = 1,
        names: Sequence[str] = (),
        links: dict[int, Link] | None = None,
    ):
        self.id = id
        self.count = count
        self.names = names
        self.remedy = "start all again"
        self._links = links or {}
        self._leaving = False
        self._lock = threading.Lock()

    @property
    def first(self) -> bool:
        """Whether this is host 0, which alone writes and tells."""
        return self.id == 0

    def share(self, items: Sequence[Item]) -> Sequence[Item]:
        """Every `count`-th item, beginning with this host's own."""
        return items[self.id :: self.count]

    def exchange(self, value: Any) -> list[Any]:
        """What every host has to give, in their order. All have to call it, and wait for the last.

        Args:
            value: As JSON can hold it; host 0 passes on all of them.
        """
        value = json.loads(json.dumps(value))  # A tuple is a list to all of them, or to none.
        if not self.first:
            self._links[0].send("value", value)
            return self._links[0].values.get()
        values = [value, *(self._links[i].values.get() for i in range(1, self.count))]
        for link in self._links.values():
            link.send("value", values)
        return values

    def told(self, value: Any) -> Any:
        """Host 0's value, on every host."""
        return self.exchange(value)[0]

    def largest(self, number: int) -> int:
        """The largest of all hosts' numbers, between two steps of a training."""
        if self.count == 1:
            return number
        from jax.experimental import multihost_utils

        return int(multihost_utils.process_allgather(np.int32(number)).max())

    def broadcast(self, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Host 0's arrays on every host; the others give arrays of these shapes and types."""
        if self.count == 1:
            return arrays
        from jax.experimental import multihost_utils

        return {k: np.asarray(v) for k, v in multihost_utils.broadcast_one_to_all(arrays).items()}

    def title(self, host: int) -> str:
        """A host for people: `"host 1 of 2 (node7)"`."""
        return f"host {host} of {self.count} ({self.names[host]})"

    def watch(self) -> None:
        """Starts to listen to the other hosts, and to give signs of life."""
        for host, link in self._links.items():
            threading.Thread(target=self._listen, args=(host, link), daemon=True).start()
        threading.Thread(target=self._beat, daemon=True).start()

    def _beat(self) -> None:
        while True:
            for link in self._links.values():
                link.send("beat")
            time.sleep(BEAT_SECONDS)

    def _listen(self, host: int, link: Link) -> None:
        while True:
            try:
                kind, value = link.receive(SILENCE_SECONDS)
            except AsapError as error:
                self._end(f"{self.title(host)} is lost: {error}; {self.remedy}")
                return
            if kind == "value":
                link.values.put(value)
            elif kind == "stopped":
                time.sleep(GRACE_SECONDS)
                self._end(value)
                return
            elif kind == "left":
                return

    def _end(self, message: str) -> None:
        """Ends this process, and through host 0 all others, unless it is about to end itself."""
        with self._lock:
            if self._leaving:
                return
            self._leaving = True
        for link in self._links.values():
            link.send("stopped", message)
        print(f"\nError: {message}", file=sys.stderr, flush=True)
        sys.stdout.flush()
        os._exit(1)

    def leave(self, error: BaseException | None) -> None:
        """Parts from the others: when all are done, or at once because of an error."""
        if error is None:
            self.exchange(None)
        elif not isinstance(error, AsapError):
            # A host that is lost breaks what JAX is at; the watch knows better what to say.
            time.sleep(2 * GRACE_SECONDS)
        self._leaving = True
        for link in self._links.values():
            if error is None:
                link.send("left")
            else:
                told = str(error) if isinstance(error, AsapError) else repr(error)
                link.send("stopped", f"{self.title(self.id)} stopped: {told}")


@contextlib.contextmanager
def joined(
    hosts: str, host_id: int | None, coordinator: str | None, training: bool = False
) -> Iterator[Hosts]:
    """All hosts of one command, from the last one's coming to the end of the block.

    Args:
        hosts: How many, or `"auto"`: JAX finds all three under Slurm, MPI or in a cloud.
        host_id: This one, from 0.
        coordinator: `HOST:PORT` of host 0, as the others reach it.
        training: Whether JAX is to make one machine of all hosts' devices.

    Raises:
        UsageError: if the arguments do not fit together.
        AsapError: if a host does not come in time.
    """
    count, host_id, coordinator, devices = resolve(hosts, host_id, coordinator)
    if count == 1:
        yield Hosts()
        return
    if training and os.environ.get("KERAS_BACKEND") != "jax":
        raise UsageError("training on several hosts runs on JAX: put KERAS_BACKEND=jax before it")
    jax = require("jax", "hosts") if training else None
    address, _, port = coordinator.rpartition(":")
    links, names, jax_port = meet(host_id, count, address.strip("[]"), int(port))
    place = Hosts(host_id, count, names, links)
    place.watch()
    try:
        if jax is not None:
            park_aborts()
            jax.config.update("jax_cpu_collectives_implementation", "gloo")
            jax.distributed.initialize(
                f"{address}:{jax_port}",
                count,
                host_id,
                local_device_ids=devices,
                cluster_detection_method="deactivate",
                # Who is lost is told by the watch.
                heartbeat_timeout_seconds=10**6,
            )
        yield place
        place.leave(None)
    except BaseException as error:
        place.leave(error)
        if jax is not None:
            # JAX would wait for the others, and they are not to come.
            atexit.register(end_at_once, 128 + getattr(error, "signal_number", -127))
        raise
    if jax is not None:
        jax.distributed.shutdown()


def resolve(
    hosts: str, host_id: int | None, coordinator: str | None
) -> tuple[int, int, str, Sequence[int] | None]:
    """Number of hosts, this one's id, host 0's address, and the devices to use (None for all).

    Raises:
        UsageError: if one is missing or out of its range, or cannot be found.
    """
    if hosts == "auto":
        require("jax", "hosts")
        from jax._src.clusters import ClusterEnv

        found = ClusterEnv.auto_detect_unset_distributed_params(
            coordinator, None, host_id, None, None, int(START_SECONDS)
        )
        coordinator, number, host_id, devices = found
        if coordinator is None or number is None or host_id is None:
            raise UsageError(
                "--hosts auto: JAX finds neither Slurm nor MPI nor a cloud that it knows here; "
                "give --hosts N --host-id I --coordinator HOST:PORT"
            )
        return number, host_id, coordinator, devices
    if not hosts.isdecimal() or int(hosts) < 1:
        raise UsageError(f"--hosts {hosts}: want a number from 1, or auto")
    count = int(hosts)
    if count == 1:
        if host_id is not None or coordinator is not None:
            raise UsageError("--host-id and --coordinator want --hosts N, of all hosts, or auto")
        return 1, 0, "", None
    if host_id is None or coordinator is None:
        raise UsageError(
            f"--hosts {count} wants --host-id I, from 0, and --coordinator HOST:PORT of host 0"
        )
    if not 0 <= host_id < count:
        raise UsageError(f"--host-id {host_id}: want 0 to {count - 1}, with --hosts {count}")
    address, _, port = coordinator.rpartition(":")
    if not address or not port.isdecimal() or not 0 < int(port) < 65536:
        raise UsageError(f"--coordinator {coordinator}: want HOST:PORT")
    return count, host_id, coordinator, None


def park_aborts() -> None:
    """Makes what aborts this process wait for a while, in which the watch can say why.

    JAX aborts as soon as host 0 is gone, with a stack trace. The handler is the system's own
    `sleep`, which takes the signal's number, 6, for seconds; then the process aborts after all.
    """
    libc = ctypes.CDLL(None)
    libc.signal.argtypes = [ctypes.c_int, ctypes.c_void_p]
    libc.signal.restype = ctypes.c_void_p
    libc.signal(signal.SIGABRT, ctypes.cast(libc.sleep, ctypes.c_void_p))


def end_at_once(code: int) -> NoReturn:
    """Ends the process without waiting for anything."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
