"""Progress without a terminal."""

from __future__ import annotations

import pytest

from asap_tf.core import progress
from asap_tf.core.progress import ProgressBar


def test_a_line_now_and_then(monkeypatch, capsys):
    monkeypatch.setattr(progress, "SECONDS", 0)
    with ProgressBar(desc="reading", total=4, unit="frame", mininterval=0) as bar:
        bar.set_postfix_str("1 dropped", refresh=False)
        bar.update()
        ProgressBar.write("between")
        bar.update(3)
    out, err = capsys.readouterr()
    assert out == "between\n"
    lines = err.splitlines()
    assert lines[-1].startswith("reading: 4 of 4 frame, 1 dropped, 00:00 so far, 00:00 left")
    assert "reading: 1 of 4 frame, 1 dropped" in err
    assert err == "".join(f"{line}\n" for line in lines) and "\r" not in err


@pytest.mark.parametrize("leave", [True, False])
def test_what_ends_soon_is_not_told(capsys, leave):
    assert list(ProgressBar("abc", "reading", leave=leave)) == ["a", "b", "c"]
    assert capsys.readouterr() == ("", "")


def test_a_bar_on_a_terminal(monkeypatch, capsys):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    list(ProgressBar("abc", "reading"))
    assert "reading: 100%|" in capsys.readouterr().err
