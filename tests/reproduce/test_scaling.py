from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from asap_tf.reproduce import scaling as growth
from asap_tf.reproduce.paper import TABLE_3
from asap_tf.reproduce.scaling import SIZES, Timing, draw, exponent, grow, text


@pytest.fixture
def timings():
    """Conventional attention grows with the square of the pixels and does not fit at the end."""
    found = []
    for size in SIZES:
        pixels = size[0] * size[1]
        for module in TABLE_3:
            power = 2 if module.option == "full" else 1
            if power == 2 and size == SIZES[-1]:
                found.append(Timing(module.title, size, None, None, "needs 13 GB"))
            else:
                found.append(Timing(module.title, size, 1e-7 * pixels**power, 100 * pixels))
    return found


def test_exponents(timings):
    assert exponent(timings, "attention: conventional", "seconds") == pytest.approx(2)
    assert exponent(timings, "attention: vertical", "seconds") == pytest.approx(1)
    (line, _) = (x for x in text(timings).splitlines() if "conventional" in x)
    assert "needs 13 GB" in line and line.endswith("2.00 |")


def test_picture(timings, tmp_path):
    draw(timings, tmp_path / "growth.png")
    picture = np.asarray(Image.open(tmp_path / "growth.png"))
    assert picture.shape == (760, 2000, 3)
    assert len(np.unique(picture.reshape(-1, 3), axis=0)) > 10


def test_modules_are_timed_and_what_does_not_fit_is_left_out(monkeypatch):
    # Every module that is run is a process of its own, and takes seconds to start.
    titles = {"fusion: FFDN", "attention: conventional", "attention: vertical"}
    modules = [m for m in TABLE_3 if m.title in titles]
    monkeypatch.setattr(growth, "TABLE_3", modules)
    monkeypatch.setattr(growth, "SIZES", ((32, 64),))
    monkeypatch.setattr(growth, "ROUNDS", 1)
    monkeypatch.setattr(growth, "available_memory", lambda: 0)
    found = {t.title: t for t in grow()}
    assert set(found) == titles
    full = found.pop("attention: conventional")
    assert full.seconds is None and full.why == "needs 0 GB"
    assert all(t.seconds > 0 and t.memory >= 0 for t in found.values())
