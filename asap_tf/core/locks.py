"""A folder that one process at a time writes to."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from asap_tf.core.errors import UsageError

LOCK, OWNER = "lock", ".owner"
"""Names of the file that is locked and of the one that says by whom."""


@contextlib.contextmanager
def locked(folder: Path, activity: str) -> Iterator[Callable[[], bool]]:
    """Keeps other processes out of a folder for as long as the context lasts.

    The system takes the lock from a process that ends, however it ends.

    Args:
        folder: Folder, made if missing, and removed if nothing is in it at the end; gets the files
            `LOCK`, which stays, and `OWNER`.
        activity: What the lock is for, as in `"training"`.

    Yields:
        A function that says whether the folder is still the locked one: somebody may have removed
        it, and another may have its name.

    Raises:
        UsageError: if another process holds the lock, naming it.
        OSError: if the folder cannot be written to.

    Examples:
        >>> with locked(Path("runs/camvid"), "training"):
        ...     train()
    """
    lock, owner = FileLock(folder / LOCK, thread_local=False), folder / OWNER
    try:
        held = lock.acquire(timeout=0)
    except Timeout:
        try:
            holder = owner.read_text(encoding="utf-8")
        except OSError:
            holder = "another process"
        raise UsageError(
            f"{folder}: {holder} is {activity} into it; stop that one first, or give another `out`"
        ) from None
    with held:
        taken = os.stat(folder / LOCK)

        def is_ours() -> bool:
            try:
                return os.path.samestat(os.stat(folder / LOCK), taken)
            except OSError:
                return False

        try:
            owner.write_text(f"process {os.getpid()} on {socket.gethostname()}", encoding="utf-8")
            yield is_ours
        finally:
            # On a disk that has failed meanwhile, they stay.
            with contextlib.suppress(OSError):
                if is_ours():
                    owner.unlink(missing_ok=True)
                    if os.listdir(folder) == [LOCK]:
                        (folder / LOCK).unlink()
                        folder.rmdir()
