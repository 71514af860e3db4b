from __future__ import annotations

import os
import shutil
import subprocess
import sys

import pytest

from asap_tf.core.errors import UsageError
from asap_tf.core.locks import LOCK, locked

HOLD = (
    "import sys; from pathlib import Path; from asap_tf.core.locks import locked\n"
    "with locked(Path(sys.argv[1]), 'training'): print(flush=True); input()"
)


def test_one_process_at_a_time_and_the_other_is_named(tmp_path):
    with locked(tmp_path, "training"):
        for _ in range(2):
            with pytest.raises(UsageError, match=f"process {os.getpid()} on .* is training into"):
                with locked(tmp_path, "training"):
                    pass
    assert {file.name for file in tmp_path.iterdir()} <= {LOCK}


def test_a_process_that_is_killed_keeps_nobody_out(tmp_path):
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    other = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    other.stdout.readline()
    with pytest.raises(UsageError, match=f"process {other.pid} on"):
        with locked(tmp_path, "training"):
            pass
    other.kill()
    other.communicate()
    with locked(tmp_path, "training"):
        pass


def test_a_folder_is_made_unless_it_cannot_be(tmp_path):
    with locked(tmp_path / "new" / "folder", "training"):
        pass
    (tmp_path / "file").touch()
    with pytest.raises(OSError), locked(tmp_path / "file" / "folder", "training"):
        pass


def test_a_folder_that_was_removed_is_no_longer_the_locked_one_even_under_the_same_name(tmp_path):
    folder = tmp_path / "folder"
    with locked(folder, "training") as is_ours:
        assert is_ours()
        shutil.rmtree(folder)
        assert not is_ours()
        with locked(folder, "training") as is_theirs:
            assert is_theirs() and not is_ours()
        with locked(folder, "training"):
            pass
    assert (folder / LOCK).exists()
