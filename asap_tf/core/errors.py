"""Errors meant for people: what was wrong, where, and what to do about it."""

from __future__ import annotations

import difflib
import signal
from collections.abc import Iterable


class AsapError(Exception):
    """A failure the user can act on, in one line."""


class UsageError(AsapError, ValueError):
    """A wrong argument or recipe field. Messages name an argument in backticks, as its Python name.

    The command line shows it as the flag that the user typed.
    """


class Interrupted(AsapError):
    """The user asked the work to stop; what was finished is kept.

    Attributes:
        signal_number: The signal that asked, SIGINT or SIGTERM.
    """

    def __init__(self, message: str, signal_number: int = signal.SIGINT):
        super().__init__(message)
        self.signal_number = int(signal_number)


def shown(path: object) -> str:
    r"""A path for a line of text: line breaks, control characters and bytes of no encoding escaped.

    Example:
        >>> shown(Path("two\nlines.png"))
        'two\\nlines.png'
    """
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in str(path))


def nearest(name: object, valid: Iterable[str]) -> str:
    """Phrase that helps somebody who mistyped a name.

    Args:
        name: What was received.
        valid: The names that would have been accepted.

    Returns:
        `"did you mean 'resnet18'?"` if one is close, else `"valid: a, b, c"`.

    Example:
        >>> nearest("resnet81", ["resnet18", "efficientnet_lite0"])
        "did you mean 'resnet18'?"
    """
    valid = sorted(valid)
    close = difflib.get_close_matches(str(name), valid, n=1)
    return f"did you mean '{close[0]}'?" if close else f"valid: {', '.join(valid)}"


def first_line(error: Exception) -> str:
    """What an error of somebody else's says, cut to its first line; its type if it is silent."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
