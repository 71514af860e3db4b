"""Processes of their own for what is timed, each waiting for its turn."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from asap_tf.benchmark.artifact import peak_memory
from asap_tf.core.children import safe_path
from asap_tf.core.errors import AsapError, UsageError, first_line

_SPAWN = multiprocessing.get_context("spawn")


class RunnerSpec(Protocol):
    """Description of a `Runner`, to be sent to a process; it must pickle."""

    @property
    def path(self) -> Path:
        """Name of the runner in an error."""
        ...

    @property
    def folder(self) -> Path:
        """Folder for what its runtime prints."""
        ...

    def open(self) -> Any:
        """Makes, in the process, the `Runner`, whose attribute `info` is sent back."""
        ...


@dataclass(frozen=True)
class _Failure:
    message: str
    usage: bool = False


Spec = TypeVar("Spec", bound=RunnerSpec)


class Worker(Generic[Spec]):
    """A runner in a process of its own; itself a `Runner`, and a context that ends the process.

    Args:
        spec: What to run; opened at once.

    Attributes:
        info: The runner's `info`.
        peak_memory: Largest memory of its process so far, bytes; 0 if the system does not say.

    Raises:
        UsageError: if it cannot be run as asked for.
        AsapError: if it cannot be opened, or its process crashes.

    Examples:
        >>> with Worker(ArtifactSpec(Path("export/asap_int8.tflite"), folder)) as worker:
        ...     worker.turn()["network"]
        0.0413
    """

    def __init__(self, spec: Spec):
        self.spec = spec
        self.peak_memory = 0
        self._log = spec.folder / f"{id(self)}.log"
        self._log.touch()
        self._pipe, childs_end = _SPAWN.Pipe()
        self._process = _SPAWN.Process(
            target=_serve, args=(spec, childs_end, self._log), daemon=True
        )
        # Inherited by the process: Ctrl-C is for its parent to handle.
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            with safe_path():
                self._process.start()
        finally:
            signal.signal(signal.SIGINT, before)
        childs_end.close()
        try:
            self.info: Any = self._answer()
        except BaseException:
            self.close()
            raise

    def turn(self) -> Mapping[str, float]:
        """Lets it run everything once; returns seconds by row."""
        seconds, self.peak_memory = self._answer("turn")
        return seconds

    def close(self) -> None:
        """Ends the process."""
        self._process.kill()
        self._process.join()
        self._pipe.close()

    def __enter__(self) -> Worker[Spec]:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _answer(self, request: str | None = None) -> Any:
        try:
            if request:
                self._pipe.send(request)
            answer = self._pipe.recv()
        except (EOFError, ConnectionError) as error:
            self._process.join()
            raise AsapError(f"{self.spec.path}: {self._last_words()}") from error
        if isinstance(answer, _Failure):
            raise (UsageError if answer.usage else AsapError)(answer.message)
        return answer

    def _last_words(self) -> str:
        code = self._process.exitcode or 0
        how = f"crashed ({signal.Signals(-code).name})" if code < 0 else f"ended with {code}"
        log = self._log.read_text(encoding="utf-8", errors="replace").strip()
        return f"its process {how}; {log.splitlines()[-1] if log else 'it printed nothing'}"


def _serve(spec: RunnerSpec, pipe: Connection, log: os.PathLike) -> None:
    """Main function of the process: opens a runner, then takes a turn at each request."""
    # Runtimes print, which would mix with the parent's lines.
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    # Otherwise the first TensorFlow takes all memory of the GPU.
    os.environ["TF_FORCE_GPU_ALLOW_GROWTH"] = "true"
    try:
        runner = spec.open()
        pipe.send(runner.info)
        while pipe.recv():
            pipe.send((runner.turn(), peak_memory()))
    except (EOFError, BrokenPipeError):
        pass
    except AsapError as error:
        pipe.send(_Failure(str(error), isinstance(error, UsageError)))
    except Exception as error:
        pipe.send(_Failure(f"{spec.path}: cannot run: {first_line(error)}"))
