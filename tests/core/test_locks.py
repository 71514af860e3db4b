from __future__ import annotations

import os
import shutil
import subprocess
import sys

import pytest

from asap_tf.core.errors import UsageError
from asap_tf.core.locks import LOCK, OWNER, locked

HOLD = (
    "import sys; from pathlib import Path; from asap_tf.core.locks import locked\n"
    "with locked(Path(sys.argv[1]), 'training'): print(flush=True); input()"
)


@pytest.fixture
def folder(tmp_path):
    """A folder with a file in it."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "file").touch()
    return tmp_path / "folder"


def test_one_process_at_a_time_and_the_other_is_named(folder):
    with locked(folder, "training"):
        for _ in range(2):
            with pytest.raises(UsageError, match=f"process {os.getpid()} on .* is training into"):
                with locked(folder, "training"):
                    pass
    assert {file.name for file in folder.iterdir()} == {LOCK, "file"}


def test_a_process_that_is_killed_keeps_nobody_out(folder):
    command = [sys.executable, "-c", HOLD, str(folder)]
    other = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    other.stdout.readline()
    with pytest.raises(UsageError, match=f"process {other.pid} on"):
        with locked(folder, "training"):
            pass
    other.kill()
    other.communicate()
    with locked(folder, "training"):
        pass


def test_a_folder_is_made_and_removed_again_if_nothing_is_in_it(tmp_path):
    with locked(tmp_path / "new", "training"):
        (tmp_path / "new" / "file").touch()
    with locked(tmp_path / "other", "training"):
        pass
    assert {path.name for path in tmp_path.iterdir()} == {"new"}
    with pytest.raises(OSError), locked(tmp_path / "new" / "file" / "folder", "training"):
        pass


def test_a_folder_that_was_removed_is_no_longer_the_locked_one_even_under_the_same_name(folder):
    with locked(folder, "training") as is_ours:
        assert is_ours()
        shutil.rmtree(folder)
        assert not is_ours()
        with locked(folder, "training") as is_theirs:
            assert is_theirs() and not is_ours()
        with locked(folder, "training"):
            (folder / "file").touch()
    assert (folder / LOCK).exists()


def test_what_cannot_be_removed_in_the_end_is_no_error(folder):
    with locked(folder, "training"):
        (folder / OWNER).unlink()
        (folder / OWNER).mkdir()
    assert (folder / LOCK).exists()
