from __future__ import annotations

import subprocess
import sys

LET_GO = """
import gc, signal, sys, asap_tf
first, second = (asap_tf.load(sys.argv[1]) for _ in range(2))
del first
gc.collect()
del second
gc.collect()
signal.signal(signal.SIGINT, lambda *_: None)
signal.raise_signal(signal.SIGINT)
"""


def test_ctrl_c_after_letting_go_of_models_is_no_crash(exported):
    command = [sys.executable, "-c", LET_GO, exported / "labels.xml"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
