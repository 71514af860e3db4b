"""Errors meant for people: what was wrong, where, and what to do about it."""

from __future__ import annotations

import difflib
import signal
from collections.abc import Iterable


class AsapError(Exception):
    """A failure the user can act on.

    Args:
        *lines: Its text, one line as a rule. Names of others may be in it as they are: what breaks
            lines or steers a terminal is escaped.
    """

    def __str__(self) -> str:
        return "\n".join(shown(line, _LONGEST) for line in self.args)


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


_LONGEST = 20_000


def shown(text: object, most: int | None = None) -> str:
    r"""Text of somebody else's in one line: what steers a terminal is escaped, and the end cut off.

    Args:
        text: A path, a name, a message.
        most: Characters that are kept; None keeps all.

    Examples:
        >>> shown(Path("two\nlines.png"))
        'two\\nlines.png'
    """
    text = str(text)
    start = "".join(c if c.isprintable() else repr(c)[1:-1] for c in text[:most])
    return f"{start}..." if len(text) > len(text[:most]) else start


def nearest(name: object, valid: Iterable[str]) -> str:
    """Phrase that helps somebody who mistyped a name.

    Args:
        name: What was received.
        valid: The names that would have been accepted.

    Returns:
        `"did you mean 'resnet18'?"` if one is close, else `"valid: a, b, c"`.

    Examples:
        >>> nearest("resnet81", ["resnet18", "efficientnet_lite0"])
        "did you mean 'resnet18'?"
    """
    valid = sorted(valid)
    close = difflib.get_close_matches(str(name), valid, n=1)
    return f"did you mean '{close[0]}'?" if close else f"valid: {', '.join(valid)}"


def first_line(error: Exception) -> str:
    """What an error of somebody else's says, cut to its first line; its type if it is silent."""
    line = next(iter(str(error).strip().splitlines()), type(error).__name__)
    return shown(line, 500)
