"""The last words of a process: a line that is printed once it has ended, however it ended."""

import contextlib
import signal
import subprocess
import sys


class LastWords:
    """A line for people that a small child process prints when this process is gone.

    For native code that aborts the process without asking Python. The child waits for the end of
    the pipe to it, and prints the last line that came.

    Args:
        text: The line; see `say`.

    Attributes:
        text: The line.
    """

    def __init__(self, text: str):
        self._child = subprocess.Popen(
            [sys.executable, "-I", "-S", __file__], stdin=subprocess.PIPE
        )
        self.say(text)

    def say(self, text: str) -> None:
        """Replaces the line, by nothing if it is empty."""
        self.text = text
        assert self._child.stdin is not None
        with contextlib.suppress(OSError):
            self._child.stdin.write(f"{text}\n".encode(errors="backslashreplace"))
            self._child.stdin.flush()

    def close(self) -> None:
        """Ends the child without a word."""
        self.say("")
        self._child.communicate()


def main() -> None:
    """Runs as the child."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    lines = sys.stdin.buffer.read().decode().splitlines()
    if lines and lines[-1]:
        print(f"Error: {lines[-1]}", file=sys.stderr)


if __name__ == "__main__":
    main()
