"""Writes rendered streets as a dataset in the layout of Cityscapes."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from asap_tf.core.children import safe_path
from asap_tf.core.errors import AsapError, UsageError
from asap_tf.core.files import written_whole
from asap_tf.core.progress import ProgressBar
from asap_tf.core.system import available_cores
from asap_tf.streets.rendering import render

_SPLITS = ("train", "val")
_CHUNK = 4  # frames that a worker takes at a time
_SMALLEST = 32
_FAST_PNG = [cv2.IMWRITE_PNG_COMPRESSION, 1, cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_RLE]
if hasattr(cv2, "IMWRITE_PNG_FILTER"):  # since 4.12: one filter, not the best of five per row
    _FAST_PNG += [cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_UP]


class _FrameTask(NamedTuple):
    root: Path
    split: str
    number: int
    seed: int
    size: tuple[int, int]


def write_streets(
    out: str | Path,
    train: int = 200,
    val: int = 50,
    seed: int = 0,
    size: tuple[int, int] = (512, 1024),
) -> None:
    """Renders a dataset on all cores.

        OUT/leftImg8bit/{train,val}/streets/streets_<number>_000019_leftImg8bit.png
        OUT/gtFine/{train,val}/streets/streets_<number>_000019_gtFine_labelIds.png
        OUT/gtFine/{train,val}/streets/streets_<number>_000019_gtFine_instanceIds.png

    The files depend on `seed`, the split, their number and `size` alone: asking for more frames
    adds files and leaves the others as they were. The folder appears under its name only when it
    is complete.

    Args:
        out: Folder that does not exist yet.
        train: Number of frames for training.
        val: Number of frames for validation.
        seed: Seed, at least 0; each gives other streets.
        size: Height and width of the frames in pixels.

    Raises:
        UsageError: if `out` exists, or a number is out of range.
        AsapError: if the folder cannot be written.

    Examples:
        >>> write_streets("streets", train=8, val=2, size=(128, 256))
    """
    out = Path(out)
    _check(out, {"train": train, "val": val}, seed, size)
    counts = zip(_SPLITS, (train, val), strict=True)
    with written_whole(out) as root:
        root.mkdir(parents=True)
        tasks = [
            _FrameTask(root, split, number, _frame_seed(seed, split, number), size)
            for split, count in counts
            for number in range(count)
        ]
        for kind in ("leftImg8bit", "gtFine"):
            for split in _SPLITS:
                (root / kind / split / "streets").mkdir(parents=True)
        for _ in ProgressBar(_spread(tasks), total=len(tasks), desc="streets", unit="frame"):
            pass


def _check(out: Path, counts: dict[str, int], seed: int, size: tuple[int, int]) -> None:
    if out.exists() or out.is_symlink():
        raise UsageError(f"{out} already exists; name a new folder or remove it first")
    for name, count in counts.items():
        if count < 0:
            raise UsageError(f"`{name}` {count}: the number of frames cannot be below 0")
    if sum(counts.values()) == 0:
        raise UsageError("`train` and `val` are both 0: nothing to write")
    if seed < 0:
        raise UsageError(f"`seed` {seed}: cannot be below 0")
    if min(size) < _SMALLEST:
        raise UsageError(
            f"`size` {size[0]}x{size[1]}: height and width have to be at least {_SMALLEST}"
        )


def _frame_seed(seed: int, split: str, number: int) -> int:
    """A seed for each frame, so that no two splits or base seeds share a street."""
    return int(np.random.SeedSequence([seed, _SPLITS.index(split), number]).generate_state(1)[0])


def _spread(tasks: list[_FrameTask]) -> Iterable[None]:
    """Runs the tasks on as many processes as there are cores, or chunks of tasks if fewer."""
    workers = min(available_cores(), -(-len(tasks) // _CHUNK))
    if workers == 1:
        yield from map(_write, tasks)
        return
    # Spawned, not forked: the caller may hold TensorFlow's threads and locks.
    pool = ProcessPoolExecutor(
        workers, multiprocessing.get_context("spawn"), cv2.setNumThreads, (1,)
    )
    try:
        with safe_path():
            written = pool.map(_write, tasks, chunksize=_CHUNK)
        yield from written
    except BrokenProcessPool as error:
        raise AsapError(
            "streets: a rendering process was killed, or ran out of memory: free some and try again"
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


def _write(task: _FrameTask) -> None:
    frame = render(task.seed, *task.size)
    name = f"streets_{task.number:06d}_000019"
    truth = task.root / "gtFine" / task.split / "streets"
    images = task.root / "leftImg8bit" / task.split / "streets"
    _write_png(images / f"{name}_leftImg8bit.png", frame.image[..., ::-1])
    _write_png(truth / f"{name}_gtFine_labelIds.png", frame.label_ids)
    _write_png(truth / f"{name}_gtFine_instanceIds.png", frame.instance_ids)


def _write_png(path: Path, array: np.ndarray) -> None:
    # Through bytes: OpenCV does not say why writing failed.
    path.write_bytes(cv2.imencode(".png", array, _FAST_PNG)[1].tobytes())
