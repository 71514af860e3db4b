"""Several hosts at one command: JAX's coordination service, heartbeats and collectives."""

from __future__ import annotations

import collections
import contextlib
import json
import os
import re
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn, TypeVar

import numpy as np

from asap_tf.core.errors import AsapError, UsageError, first_line
from asap_tf.core.last_words import LastWords
from asap_tf.core.optional import require
from asap_tf.core.system import package_version

START_SECONDS = 300
"""For all hosts to start."""
HEARTBEAT_SECONDS = 20
"""Silence after which a host is lost, and JAX ends the others."""
STOP_SECONDS = 10
"""For all hosts to reach the end, once one has."""
GRACE_SECONDS = 1
"""For the others to print an error that all hosts have."""

Item = TypeVar("Item")

_last_words: LastWords | None = None
"""Of this process, while it is connected with others: JAX aborts it where one of them is lost."""


@dataclass(frozen=True)
class Hosts:
    """The hosts at one command, and which of them this is; one alone by default.

    All hosts have to call the methods that communicate, in the same order: each waits for the last.

    Attributes:
        index: Index of this host, from 0.
        count: Number of hosts.

    Examples:
        >>> Hosts(1, 4).shard(range(10))
        range(1, 10, 4)
    """

    index: int = 0
    count: int = 1

    @property
    def is_main(self) -> bool:
        """Whether this is host 0, the only one that writes and prints."""
        return self.index == 0

    def shard(self, items: Sequence[Item]) -> Sequence[Item]:
        """This host's part of a sequence: every `count`-th item from `index` on."""
        return items[self.index :: self.count]

    def all_gather(self, value: Any) -> list[Any]:
        """The values of all hosts, by index.

        Args:
            value: Anything that JSON holds; a tuple becomes a list.
        """
        text = json.dumps(value).encode()
        if self.count == 1:
            return [json.loads(text)]
        from jax.experimental.multihost_utils import process_allgather

        lengths = process_allgather(np.int32(len(text)))
        # Powers of two, since JAX compiles for every length.
        padded = np.zeros(1 << int(lengths.max()).bit_length(), np.uint8)
        padded[: len(text)] = np.frombuffer(text, np.uint8)
        rows = process_allgather(padded)
        return [json.loads(bytes(row[:n])) for row, n in zip(rows, lengths, strict=True)]

    def broadcast(self, value: Any) -> Any:
        """Host 0's value on every host; see `all_gather`."""
        return self.all_gather(value if self.is_main else None)[0]

    def broadcast_arrays(self, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Host 0's arrays on every host.

        Args:
            arrays: Arrays by name, of the same shapes and dtypes on all hosts, 32 bits at most.
        """
        if self.count == 1:
            return arrays
        from jax.experimental.multihost_utils import broadcast_one_to_all

        return {k: np.asarray(v) for k, v in broadcast_one_to_all(arrays).items()}

    def all_max(self, number: int) -> int:
        """The largest number of all hosts, int32; quick enough for every step of a training."""
        if self.count == 1:
            return number
        from jax.experimental.multihost_utils import process_allgather

        return int(process_allgather(np.int32(number)).max())

    def set_resume_hint(self, hint: str) -> None:
        """Sets what a person is told to do when another host is lost: `"resume with: ..."`."""
        if _last_words is not None:
            _last_words.say(f"another host failed or was lost, see what it says itself; {hint}")


@contextlib.contextmanager
def connect(hosts: str, host_id: int | None, coordinator: str | None) -> Iterator[Hosts]:
    """Connects the hosts of one command for the time of a `with` block.

    When another host fails, is killed or falls silent, this one ends as well: by an `AsapError` or
    by JAX, which aborts the process; either way its last line says what to do.

    Args:
        hosts: Number of hosts; or `"auto"`, by which JAX finds all three arguments itself under
            Slurm, MPI, Kubernetes or in a cloud.
        host_id: Index of this host, from 0.
        coordinator: `HOST:PORT` of host 0, as the others reach it.

    Yields:
        The hosts.

    Raises:
        UsageError: if the arguments do not fit together.
        AsapError: if the hosts cannot be connected, differ in their version of asap-tf or in their
            number of devices, or if another one is lost.

    Examples:
        >>> with connect("2", 0, "node0:7000") as distributed:
        ...     evaluate(segmenter, dataset, hosts=distributed)
    """
    global _last_words
    arguments = _arguments(hosts, host_id, coordinator)
    if arguments is None:
        yield Hosts()
        return
    jax = require("jax", "hosts")
    if os.environ.get("KERAS_BACKEND") != "jax":
        # JAX only communicates: it would take the memory of the GPUs.
        jax.config.update("jax_platforms", "cpu")
    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    # SIGTERM is Python's: see `core.signals`.
    jax.config.update("jax_enable_preemption_service", False)
    unconnected = (
        f"the hosts could not be connected at {coordinator or 'host 0'}: it has to be a free port "
        f"of host 0 that all reach, and all have to start within {START_SECONDS} s, with ids of "
        "their own"
    )
    words = LastWords(unconnected)
    try:
        jax.distributed.initialize(
            **arguments,
            initialization_timeout=START_SECONDS,
            heartbeat_timeout_seconds=HEARTBEAT_SECONDS,
            shutdown_timeout_seconds=STOP_SECONDS,
        )
    except ValueError:
        words.close()
        raise UsageError(
            "`hosts` auto: JAX finds neither Slurm nor MPI nor a cloud that it knows here; give "
            "`hosts`, the number of all, `host_id`, and `coordinator`, HOST:PORT of host 0"
        ) from None
    except RuntimeError as error:
        words.close()
        raise AsapError(f"{unconnected} ({first_line(error)})") from error
    _last_words = words
    try:
        connected = Hosts(jax.process_index(), jax.process_count())
        connected.set_resume_hint("start all of them again")
        _require_alike(jax, connected)
        yield connected
        connected.all_gather(None)  # Host 0 may still be writing.
        jax.distributed.shutdown()
        words.close()
        _last_words = None
    except AsapError as error:
        # In case JAX aborts the process before the error is printed.
        words.say(str(error))
        raise
    except BaseException as error:
        if re.search("gloo|nccl", str(error), re.IGNORECASE):
            raise AsapError(words.text) from error
        words.say("")
        raise


def leave(code: int) -> NoReturn:
    """Ends the process; if it is connected, at once: JAX would wait for the other hosts.

    Args:
        code: Exit code.
    """
    if _last_words is None:
        sys.exit(code)
    _last_words.say("")
    sys.stdout.flush()
    sys.stderr.flush()
    # Others may have met the same error, and JAX aborts them once host 0 is gone.
    time.sleep(GRACE_SECONDS)
    os._exit(code)


def _arguments(hosts: str, host_id: int | None, coordinator: str | None) -> dict[str, Any] | None:
    """Arguments for `jax.distributed.initialize`; None for one host.

    Raises:
        UsageError: if one is missing or out of its range.
    """
    if hosts == "auto":
        return {"process_id": host_id, "coordinator_address": coordinator}
    if not hosts.isdecimal() or int(hosts) < 1:
        raise UsageError(f"`hosts` {hosts}: want a number from 1, or auto")
    count = int(hosts)
    if count == 1:
        if host_id is not None or coordinator is not None:
            raise UsageError("`host_id` and `coordinator` want `hosts`, the number of all, or auto")
        return None
    if host_id is None or coordinator is None:
        raise UsageError(
            f"`hosts` {count} wants `host_id`, from 0, and `coordinator`, HOST:PORT of host 0"
        )
    if not 0 <= host_id < count:
        raise UsageError(f"`host_id` {host_id}: want 0 to {count - 1}, with `hosts` {count}")
    address, _, port = coordinator.rpartition(":")
    if not address or not port.isdecimal() or not 0 < int(port) < 65536:
        raise UsageError(f"`coordinator` {coordinator}: want HOST:PORT")
    return {
        "num_processes": count,
        "process_id": host_id,
        "coordinator_address": coordinator,
        "cluster_detection_method": "deactivate",
    }


def _require_alike(jax: Any, hosts: Hosts) -> None:
    """Refuses hosts that cannot work together."""
    devices = collections.Counter(device.process_index for device in jax.devices())
    if len(set(devices.values())) > 1:
        counts = ", ".join(str(devices[i]) for i in range(hosts.count))
        raise UsageError(
            f"the hosts have {counts} devices; give each the same number, for instance by "
            "CUDA_VISIBLE_DEVICES"
        )
    versions = hosts.all_gather(package_version())
    if len(set(versions)) > 1:
        raise AsapError(
            f"the hosts run asap-tf {', '.join(versions)}; install the same version on all"
        )
