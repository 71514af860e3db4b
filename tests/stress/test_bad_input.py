"""Every kind of bad input is answered by one line that names it; see `bad_input.py`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.stress


def test_bad_input():
    script = Path(__file__).with_name("bad_input.py")
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
