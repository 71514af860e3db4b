"""The option of every verb that opens a model of somebody else's."""

from __future__ import annotations

import click

trust_option = click.option(
    "--trust",
    is_flag=True,
    help="Open a SavedModel whatever is in it: a program that could read, write and send your "
    "files. Only if you know who made it.",
)
