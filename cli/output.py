"""What the verbs print."""

from __future__ import annotations

import click

from asap_tf.core.errors import shown


def echo(text: object = "", err: bool = False) -> None:
    """Prints text with names of others in it: what steers a terminal is escaped.

    Args:
        text: Lines, or a path or other object, which is one line.
        err: Whether to print to standard error.
    """
    lines = text.split("\n") if isinstance(text, str) else [text]
    click.echo("\n".join(map(shown, lines)), err=err)
