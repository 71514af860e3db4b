from __future__ import annotations

import numpy as np
from PIL import Image

from asap_tf.benchmark.chart import Group, bar_chart, shortened


def test_bars_are_as_long_as_their_values(bar_lengths, tmp_path):
    groups = [
        Group("first", ("note",), ((100.0, "100"), (50.0, "50"))),
        Group("second", (), ((25.0, "25"), (75.0, "75"))),
    ]
    bar_chart(tmp_path / "chart.png", "Title", ["a note"], ["one", "two"], groups)
    one, two = bar_lengths(tmp_path / "chart.png")
    scale = one[0] / 100
    np.testing.assert_allclose(one, [100 * scale, 25 * scale], atol=3)
    np.testing.assert_allclose(two, [50 * scale, 75 * scale], atol=3)


def test_everything_stays_inside_the_picture(bar_lengths, tmp_path):
    groups = [Group("name " * 30, ("note " * 60,) * 2, ((1e6, "1000000  (100.00 x)"),) * 4)] * 9
    legend = ["With resize from 1024x2048 and label map back (the paper's way of counting)"] * 4
    bar_chart(tmp_path / "chart.png", "Title", ["long " * 100], legend[:2] + ["c", "d"], groups)
    picture = np.asarray(Image.open(tmp_path / "chart.png").convert("RGB"))
    assert picture.shape[1] == 1600
    border = [picture[:6], picture[-6:], picture[:, :6], picture[:, -6:]]
    assert all((pixels == 255).all() for pixels in border)
    assert [len(bars) for bars in bar_lengths(tmp_path / "chart.png")] == [9] * 4


def test_shortened_keeps_both_ends():
    assert shortened("short", 5) == "short"
    cut = shortened("TensorFlow and many other words, 2 threads", 21)
    assert cut == "TensorFlo...2 threads"
