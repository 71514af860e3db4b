"""Which artifacts there are, and what each needs."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from asap_tf.core.errors import UsageError
from asap_tf.core.formats import FORMATS
from asap_tf.core.optional import require


@dataclass(frozen=True)
class Job:
    """One artifact to be written.

    Attributes:
        kind: A key of `FORMATS`.
        precision: A key of `FLOORS`.
    """

    kind: str
    precision: str

    @property
    def name(self) -> str:
        """Of the file or folder, its ending included."""
        return FORMATS[self.kind].file_name(self.precision)

    @property
    def writer(self) -> Any:
        """The module that writes it."""
        return importlib.import_module(FORMATS[self.kind].writer)


def plan(formats: Sequence[str], precisions: Sequence[str]) -> list[Job]:
    """What to write: every format in those of the precisions that it has.

    Raises:
        UsageError: if there is nothing to write, or a format has none of the precisions.
        AsapError: if a package is missing.
    """
    if not formats:
        raise UsageError("no format: give one or more of --saved-model, --tflite, --onnx, ...")
    jobs = []
    for kind in dict.fromkeys(formats):
        has = FORMATS[kind].precisions
        chosen = [
            Job(kind, precision) for precision in dict.fromkeys(precisions) if precision in has
        ]
        if not chosen:
            raise UsageError(f"{kind} comes in {', '.join(has)}, not in {', '.join(precisions)}")
        jobs += chosen
        for module in FORMATS[kind].modules:
            require(module, FORMATS[kind].extra)
    return jobs
