from __future__ import annotations

import subprocess
import sys

LEAN = """
import importlib, sys
from asap_tf.core import keras_backend
keras_backend.leave_out_optional_modules()
keras_backend.import_keras()
print(*sys.modules.keys() & {"keras", "tensorflow", *keras_backend.OPTIONAL_MODULES})
for name in keras_backend.OPTIONAL_MODULES:
    importlib.import_module(name)
"""


def test_optional_modules_are_left_out_of_keras_import_and_can_be_imported_later():
    done = subprocess.run([sys.executable, "-c", LEAN], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    assert set(done.stdout.split()) == {"keras", "tensorflow"}
