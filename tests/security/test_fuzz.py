"""Files that nobody would write, for every parser: each is read, or refused in one line.

`ASAP_TF_FUZZ=1800 pytest -s tests/security/test_fuzz.py` takes that many seconds, shared among the
parsers, and prints a row for each: inputs, those read and those refused, processor seconds of the
slowest, and the most memory above the start.
"""

from __future__ import annotations

import faulthandler
import os
import shutil
import time
from collections import Counter
from pathlib import Path

import hypothesis
import pytest
from hypothesis import HealthCheck, given, settings

from asap_tf.benchmark.artifact import peak_memory
from asap_tf.core.errors import AsapError
from support.mutations import changed, changes, edited, edits
from support.parsers import NAMES, Parser, all_parsers

SECONDS = float(os.environ.get("ASAP_TF_FUZZ", 0))
EXAMPLES = 100 if SECONDS else 25

LIMIT = 60
"""Seconds for one input."""
MEMORY = 1.5e9
"""Bytes above those at the start."""


@pytest.fixture(scope="module")
def parsers(artifact, tmp_path_factory) -> dict[str, Parser]:
    home = tmp_path_factory.mktemp("fuzz")
    # Others use it too, and nothing lies beside it.
    return all_parsers(home, Path(shutil.copy(artifact, home)))


@pytest.mark.parametrize("name", NAMES)
def test_any_content(parsers, name):
    seed, read, dump = parsers[name]
    content = seed if dump is None else dump(seed)
    read(content)
    contents = edits.map(lambda edits: edited(content, edits))
    if dump is not None:
        contents |= changes.map(lambda changes: dump(changed(seed, changes)))
    outcomes, slowest = Counter(), 0.0

    def check(content: bytes) -> None:
        nonlocal slowest
        started = time.process_time()
        faulthandler.dump_traceback_later(LIMIT, exit=True)
        try:
            read(content)
            outcomes["read"] += 1
        except AsapError as error:
            outcomes["refused"] += 1
            assert str(error).isprintable() and 0 < len(str(error)) < 2000
        finally:
            faulthandler.cancel_dump_traceback_later()
        # Others may keep the processor busy.
        slowest = max(slowest, time.process_time() - started)

    # From here on the system counts the peak anew.
    Path("/proc/self/clear_refs").write_text("5")
    before, until = peak_memory(), time.monotonic() + SECONDS / len(NAMES)
    options = settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    rounds = 0
    while not rounds or time.monotonic() < until:
        hypothesis.seed(rounds)(options(given(contents)(check)))()
        rounds += 1
    grown = peak_memory() - before
    print(
        f"\n| {name} | {outcomes.total():,} | {outcomes['read']:,} | {outcomes['refused']:,} "
        f"| {slowest:.1f} s | {grown / 1e6:.0f} MB |"
    )
    assert grown < MEMORY
