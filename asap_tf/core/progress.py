"""Progress of long work: a bar on a terminal, and elsewhere a line now and then."""

from __future__ import annotations

import sys
import time
from typing import Any

from tqdm import tqdm

SECONDS = 30.0
"""Between two lines where there is no terminal; what ends before has none."""

LINE = "{desc}: {n_fmt} of {total_fmt} {unit}{postfix}, {elapsed} so far, {remaining} left"


class ProgressBar(tqdm):
    """A `tqdm` bar; where standard error is no terminal, such as in a log file, lines instead.

    Examples:
        >>> for frame in ProgressBar(frames, "evaluating", unit="frame"):
        ...     predict(frame)
        evaluating: 120 of 500 frame, 00:30 so far, 01:35 left
    """

    def __init__(self, *args: Any, **kwargs: Any):
        self._in_lines = not sys.stderr.isatty()
        self._next_line = time.monotonic() + SECONDS
        if self._in_lines:
            kwargs["bar_format"] = LINE
        super().__init__(*args, **kwargs)

    def display(self, msg: str | None = None, pos: int | None = None) -> None:
        if not self._in_lines:
            super().display(msg, pos)
        elif time.monotonic() >= self._next_line:
            self._next_line = time.monotonic() + SECONDS
            print(self, file=self.fp, flush=True)

    def clear(self, nolock: bool = False) -> None:
        if not self._in_lines:
            super().clear(nolock)

    def close(self) -> None:
        if self._in_lines:
            # As if nothing had been shown, which would be followed by an empty line.
            self.last_print_t = float("-inf")
        super().close()
