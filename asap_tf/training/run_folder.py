"""A run is a folder: recipe, log, checkpoints, model, metrics, report."""

from __future__ import annotations

import contextlib
import errno
import json
import logging
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel, TypeAdapter

from asap_tf.core.errors import AsapError, UsageError
from asap_tf.core.files import Unwritable, flush, remove_leftovers, written_whole
from asap_tf.core.locks import LOCK, OWNER, locked
from asap_tf.training.recipe import Recipe, load_recipe

LOGGER = logging.getLogger("asap_tf")

KEPT_CHECKPOINTS = 2
STATE = "state"


_ENTRY = TypeAdapter(dict[str, int | float | None])
"""A line of the log."""


class _State(BaseModel):
    step: int
    best_miou: float | None


@dataclass(frozen=True)
class Checkpoint:
    """Everything that a training is resumed from.

    Attributes:
        step: Steps done.
        best_miou: Best validation so far, 0..1; None before the first.
        arrays: Weights and optimizer variables by name.
    """

    step: int
    best_miou: float | None
    arrays: dict[str, np.ndarray]


class RunFolder:
    """The files of one training, each written whole or not at all.

    Attributes:
        path: Folder with `recipe.yaml`, `log.jsonl`, `checkpoints/`, `model.keras`,
            `metrics.json`, `report.html`, `tensorboard/`, and `lock`, locked while a process
            trains into it.
    """

    def __init__(self, path: Path):
        self.path = path
        self.model = path / "model.keras"
        self.metrics = path / "metrics.json"
        self.report = path / "report.html"
        self._log = path / "log.jsonl"
        self._recipe = path / "recipe.yaml"
        self._checkpoints = path / "checkpoints"
        self._events: Any = None
        self._locks = contextlib.ExitStack()
        self._is_ours: Callable[[], bool] = lambda: False
        self._unlogged = ""

    @property
    def is_free(self) -> bool:
        """Whether nothing is there, or no more than a start on a full disk leaves."""
        if not self.path.exists():
            return True
        return self.path.is_dir() and {file.name for file in self.path.iterdir()} <= {LOCK, OWNER}

    def require_free(self) -> None:
        """Refuses a folder that holds anything already.

        Raises:
            UsageError: if it does, or is a file.
        """
        if not self.is_free:
            raise UsageError(
                f"{self.path}: exists already; give another `out`, or {self.resume_hint}"
            )

    @contextlib.contextmanager
    def started(self, recipe: Recipe) -> Iterator[None]:
        """Makes the folder, if it is new, puts the resolved recipe into it, and keeps others out.

        The system takes the lock from a process that ends, however it ends.

        Raises:
            UsageError: if another process is training into the folder.
            Unwritable: if it cannot be written to.
        """
        with self._locks:
            self._claim(recipe)
            yield

    def recreate(self, recipe: Recipe) -> None:
        """Makes the folder again if somebody has removed it under the training.

        Raises:
            UsageError: if another process is training into the folder that took its place.
            Unwritable: if it cannot be made.
        """
        if not self._is_ours():
            self._claim(recipe)
            LOGGER.warning("%s: was removed under the training, and is made again", self.path)

    def _claim(self, recipe: Recipe) -> None:
        try:
            with contextlib.ExitStack() as claim:
                is_ours = claim.enter_context(locked(self.path, "training"))
                # Early: without a recipe the folder could neither be used again nor resumed.
                write_text(self._recipe, recipe.to_yaml())
                self._checkpoints.mkdir(exist_ok=True)
                for folder in (self.path, self._checkpoints):
                    remove_leftovers(folder)
                self._locks.enter_context(claim.pop_all())
        except OSError as error:
            raise Unwritable(f"{self.path}: cannot be written to ({error.strerror})") from error
        self._is_ours, self._events = is_ours, None

    @property
    def recipe(self) -> Recipe:
        """The recipe as resolved at the start.

        Raises:
            UsageError: if this is not the folder of a run.
        """
        return self.recipe_for()

    def recipe_for(self, data: Path | None = None) -> Recipe:
        """The recipe, for a dataset that may have moved.

        Args:
            data: As `root` of `load_recipe`; None where it was at the start.

        Raises:
            UsageError: if this is not the folder of a run.
        """
        if not self._recipe.is_file():
            raise UsageError(f"{self.path}: not a run folder: no recipe.yaml in it")
        return load_recipe(self._recipe, root=data)

    def save(self, checkpoint: Checkpoint) -> None:
        """Writes a checkpoint, then removes all but the last two.

        Raises:
            Unwritable: if it cannot be written; earlier checkpoints stay.
        """
        target = self._checkpoints / f"{checkpoint.step:08d}.npz"
        state = {"step": checkpoint.step, "best_miou": checkpoint.best_miou}
        arrays: dict[str, Any] = {**checkpoint.arrays, STATE: np.array(json.dumps(state))}
        with written_whole(target, durable=True) as aside, aside.open("wb") as file:
            if self._log.is_file():
                # Once this is saved, its steps are not taken again: the log has to have them.
                flush(self._log)
            np.savez(file, **arrays)
        for old in self._saved()[:-KEPT_CHECKPOINTS]:
            with contextlib.suppress(OSError):
                old.unlink()

    @property
    def resume_hint(self) -> str:
        """What to do after a training was stopped."""
        return f"resume it with: asap-tf train --resume {self.path}"

    @property
    def recovery_hint(self) -> str:
        """What to do after the folder could not be written to."""
        if step := self.newest_step():
            return f"saved up to step {step}: fix that, then {self.resume_hint}"
        return "there is no checkpoint yet: fix that and start again, or give another `out`"

    def latest(self) -> Checkpoint | None:
        """The last checkpoint that is whole, or None if the run has not got that far.

        Damaged ones after it are warned of, and set aside under another name.

        Raises:
            AsapError: if there are checkpoints, and all are damaged.
        """
        damaged: list[Path] = []
        for file in reversed(self._saved()):
            try:
                checkpoint = read_checkpoint(file)
            except (PermissionError, MemoryError):
                raise
            except Exception:
                damaged.append(file)
                continue
            for file in damaged:
                LOGGER.warning("%s: damaged, resuming from step %d", file, checkpoint.step)
                with contextlib.suppress(OSError):
                    file.rename(file.with_suffix(".damaged"))
            return checkpoint
        if damaged:
            raise AsapError(
                f"{damaged[0]}: damaged checkpoint, and none before it is whole; start again "
                "with another `out`"
            )
        return None

    def newest_step(self) -> int:
        """Step of the last checkpoint, 0 if there is none."""
        saved = self._saved()
        return int(saved[-1].stem) if saved else 0

    def _saved(self) -> list[Path]:
        return sorted(self._checkpoints.glob("[0-9]*.npz"))

    def log(self, entry: dict[str, Any]) -> None:
        """Appends one line to the log, after those that could not be written before.

        Raises:
            Unwritable: if it cannot be written; the log is then as it was.
        """
        self._unlogged += json.dumps(entry) + "\n"
        try:
            if not self._is_ours():
                raise FileNotFoundError(errno.ENOENT, "the run folder was removed")
            append_whole(self._log, self._unlogged)
        except OSError as error:
            raise Unwritable(f"{self._log}: cannot be written ({error.strerror})") from error
        self._unlogged = ""

    def write_scalars(self, step: int, values: dict[str, float]) -> None:
        """Adds values to the run's TensorBoard events.

        Raises:
            Unwritable: if they cannot be written.
        """
        import tensorflow as tf

        folder = self.path / "tensorboard"
        try:
            if self._events is None:
                self._events = tf.summary.create_file_writer(str(folder))
            with self._events.as_default(step=step):
                for name, value in values.items():
                    tf.summary.scalar(name, value)
            self._events.flush()
        except tf.errors.OpError as error:
            raise Unwritable(f"{folder}: cannot be written to: is the disk full?") from error

    def read_log(self) -> list[dict[str, Any]]:
        """The log's entries up to the first line that is none, such as one cut short by a crash."""
        if not self._log.exists():
            return []
        entries = []
        for line in self._log.read_bytes().splitlines():
            try:
                entry = _ENTRY.validate_json(line, strict=True)
            except ValueError:
                break
            if type(entry.get("step")) is not int:
                break
            entries.append(entry)
        return entries

    def rewind_log(self, step: int) -> None:
        """Drops entries after `step`: their steps will be taken again."""
        entries = [e for e in self.read_log() if e["step"] <= step]
        self._unlogged = ""
        write_text(self._log, "".join(json.dumps(e) + "\n" for e in entries))


class RunElsewhere(RunFolder):
    """A run whose folder another host writes: nothing is read, and nothing written."""

    @contextlib.contextmanager
    def started(self, recipe: Recipe) -> Iterator[None]:
        yield

    def recreate(self, recipe: Recipe) -> None:
        pass

    def save(self, checkpoint: Checkpoint) -> None:
        pass

    def latest(self) -> Checkpoint | None:
        return None

    def newest_step(self) -> int:
        return 0

    def log(self, entry: dict[str, Any]) -> None:
        pass

    def write_scalars(self, step: int, values: dict[str, float]) -> None:
        pass

    def rewind_log(self, step: int) -> None:
        pass


def read_checkpoint(file: Path) -> Checkpoint:
    """Reads a checkpoint and verifies the checksum of each array.

    Raises:
        Exception: of some kind, if it is damaged.
    """
    with np.load(file, allow_pickle=False) as archive:
        arrays = {name: archive[name] for name in archive.files}
    state = _State.model_validate_json(str(arrays.pop(STATE)), strict=True)
    return Checkpoint(state.step, state.best_miou, arrays)


def append_whole(path: Path, text: str) -> None:
    """Appends all of a text to a file, or nothing of it.

    Raises:
        OSError: if the disk does not take it.
    """
    content = text.encode()
    with path.open("ab", buffering=0) as file:
        length = file.tell()
        if file.write(content) < len(content):
            file.truncate(length)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def write_text(path: Path, text: str) -> None:
    """Writes a text file whole or not at all."""
    with written_whole(path, durable=True) as aside:
        aside.write_text(text, encoding="utf-8")
