from __future__ import annotations

import subprocess
import sys

import pytest

SPEAKER = """
import os, signal, time
from asap_tf.core.last_words import LastWords
words = LastWords("first")
words.say("second")
"""


@pytest.mark.parametrize(
    ("ending", "printed"),
    [
        ("os.abort()", "Error: second\n"),
        ("os.kill(os.getpid(), signal.SIGKILL)", "Error: second\n"),
        ("words.close()", ""),
        ("words.say(''); os.abort()", ""),
        ("time.sleep(1); os.killpg(0, signal.SIGTERM)", "Error: second\n"),
    ],
)
def test_the_last_line_is_printed_when_the_process_is_gone(ending, printed):
    command = [sys.executable, "-c", SPEAKER + ending]
    done = subprocess.run(command, stderr=subprocess.PIPE, text=True, start_new_session=True)
    assert done.stderr == printed
