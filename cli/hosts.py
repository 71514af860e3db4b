"""The options of verbs that several hosts can share."""

from __future__ import annotations

from collections.abc import Callable

import click

OPTIONS = (
    click.option("--hosts", default="1", metavar="N", help="Hosts that share the work, or auto."),
    click.option("--host-id", type=int, metavar="I", help="Which of them this is, from 0."),
    click.option("--coordinator", metavar="HOST:PORT", help="Where host 0 is to be found."),
)


def host_options(command: Callable) -> Callable:
    """Adds `--hosts`, `--host-id` and `--coordinator`, for `asap_tf.core.distributed.connect`."""
    for option in reversed(OPTIONS):
        command = option(command)
    return command
