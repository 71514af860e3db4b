from __future__ import annotations

import matplotlib
import numpy as np
import pytest
from PIL import Image

from asap_tf.core.charts import COLORS, RULE, new_figure, save_png
from asap_tf.core.files import Unwritable


def test_a_chart_is_a_png_in_the_colors_of_the_house(tmp_path):
    before = dict(matplotlib.rcParams)
    file = tmp_path / "chart.png"
    with new_figure(4, 2) as figure:
        axes = figure.subplots()
        for slope in (1, 2):
            axes.plot([0, 1], [0, slope], label="$4_5 or 5$")
        axes.legend()
        save_png(figure, file)
    assert dict(matplotlib.rcParams) == before
    pixels = np.asarray(Image.open(file).convert("RGB"))
    assert pixels.shape == (400, 800, 3)
    found = {bytes(color).hex() for color in np.unique(pixels.reshape(-1, 3), axis=0)}
    assert {color.removeprefix("#") for color in (*COLORS[:2], RULE)} <= found
    assert list(tmp_path.iterdir()) == [file]


def test_a_chart_that_cannot_be_written_is_named(tmp_path):
    with new_figure(1, 1) as figure, pytest.raises(Unwritable, match="chart.png: cannot be writ"):
        save_png(figure, tmp_path / "missing" / "chart.png")
