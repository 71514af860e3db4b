"""A training that writes its phase to a file, so that it can be killed within one."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import support.tiny  # noqa: F401
from asap_tf import cli
from asap_tf.training import results, trainer

PHASES = ("start", "step", "save", "validation", "results")


def report(owner: object, function: str, name: str, phase: Path) -> None:
    """Lets a function write to a file that it is running."""
    original = getattr(owner, function)

    def wrapped(*args: object, **kwargs: object) -> object:
        phase.write_text(name)
        try:
            return original(*args, **kwargs)
        finally:
            phase.write_text("other")

    setattr(owner, function, wrapped)


def train(phase: Path, log: Path, arguments: list[str]) -> None:
    """Runs `asap-tf train`; its phase goes to one file, and its output to another."""
    phase.write_text("start")
    with log.open("w") as file:
        for descriptor in (1, 2):
            os.dup2(file.fileno(), descriptor)
    report(trainer.Trainer, "fit", "step", phase)
    report(trainer.Trainer, "save", "save", phase)
    report(trainer.Trainer, "validate", "validation", phase)
    report(results, "write_results", "results", phase)
    sys.argv = ["asap-tf", "train", *arguments]
    cli.main()
