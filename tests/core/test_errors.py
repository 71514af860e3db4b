from __future__ import annotations

import os
import pickle
import signal
from pathlib import Path

from asap_tf.core.errors import Interrupted, UsageError, first_line, nearest, shown


def test_nearest_suggests_a_close_name_and_else_lists_all():
    names = ["vertical", "horizontal", "full"]
    assert nearest("vertcal", names) == "did you mean 'vertical'?"
    assert nearest("xyz", names) == "valid: full, horizontal, vertical"
    assert nearest(8, ["16", "8"]) == "did you mean '8'?"


def test_a_usage_error_is_a_value_error_and_interruptions_survive_a_process_border():
    assert issubclass(UsageError, ValueError)
    error = pickle.loads(pickle.dumps(Interrupted("stopped at step 3", signal.SIGTERM)))
    assert (str(error), error.signal_number) == ("stopped at step 3", signal.SIGTERM)


def test_first_line():
    assert first_line(ValueError("\n one\ntwo")) == "one"
    assert first_line(KeyError()) == "KeyError"


def test_paths_are_shown_in_one_printable_line():
    plain = "a b/straße 東京 %s{}'\\.png"
    assert shown(Path(plain)) == plain
    assert shown("two\nlines\t\x1b[2J.png") == r"two\nlines\t\x1b[2J.png"
    shown(os.fsdecode(b"latin-\xe9.png")).encode("utf-8")
