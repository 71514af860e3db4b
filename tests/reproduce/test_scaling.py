from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from asap_tf.core.charts import COLORS
from asap_tf.reproduce import scaling
from asap_tf.reproduce.paper import TABLE_3
from asap_tf.reproduce.scaling import SIZES, Timing, draw, exponent, measure_scaling, text


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
    draw(timings, tmp_path / "scaling.png")
    picture = np.asarray(Image.open(tmp_path / "scaling.png").convert("RGB"))
    assert picture.shape == (800, 2000, 3)
    left, right, legend = picture[:, :800], picture[:, 800:1550], picture[:, 1550:]

    def shows(part, color):
        return (part == [int(color[i : i + 2], 16) for i in (1, 3, 5)]).all(-1).any()

    assert all(shows(legend, color) for color in COLORS)
    # Lines that are alike cover each other; the last one is on top.
    assert shows(left, COLORS[2]) and shows(left, COLORS[4]) and shows(right, COLORS[4])


def test_modules_are_timed_unless_they_do_not_fit(monkeypatch):
    # Every module that is run is a process of its own, and takes seconds to start.
    titles = {"fusion: FFDN", "attention: conventional", "attention: vertical"}
    modules = [m for m in TABLE_3 if m.title in titles]
    monkeypatch.setattr(scaling, "TABLE_3", modules)
    monkeypatch.setattr(scaling, "SIZES", ((32, 64),))
    monkeypatch.setattr(scaling, "ROUNDS", 1)
    monkeypatch.setattr(scaling, "available_memory", lambda: 0)
    found = {t.title: t for t in measure_scaling()}
    assert set(found) == titles
    full = found.pop("attention: conventional")
    assert full.seconds is None and full.why == "needs 0 GB"
    assert all(t.seconds > 0 and t.memory >= 0 for t in found.values())
