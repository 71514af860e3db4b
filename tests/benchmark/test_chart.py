from __future__ import annotations

import numpy as np

from asap_tf.benchmark.chart import COLORS, Group, bar_chart, font, shortened


def color(index):
    return [int(COLORS[index][i : i + 2], 16) for i in (1, 3, 5)]


def test_bars_are_as_long_as_their_values():
    groups = [
        Group("first", ("note",), ((100.0, "100"), (50.0, "50"))),
        Group("second", (), ((25.0, "25"), (75.0, "75"))),
    ]
    picture = bar_chart("Title", ["a note"], ["one", "two"], groups)
    assert picture.dtype == np.uint8 and picture.shape[1:] == (1600, 3)
    bars = {}
    for index in (0, 1):
        # The rows below the legend, from the top down; each bar is many rows of one length.
        lengths = (picture[200:] == color(index)).all(-1).sum(1)
        bars[index] = list(dict.fromkeys(int(n) for n in lengths if n > 100))
    scale = bars[0][0] / 100
    np.testing.assert_allclose(bars[0], [100 * scale, 25 * scale], atol=2)
    np.testing.assert_allclose(bars[1], [50 * scale, 75 * scale], atol=2)


def test_everything_stays_inside_the_picture():
    groups = [Group("name " * 30, ("note " * 60,) * 2, ((1e6, "1000000  (100.00 x)"),) * 4)] * 9
    picture = bar_chart("Title", ["long " * 100], ["a", "b", "c", "d"], groups)
    border = np.concatenate(
        [picture[:8].reshape(-1, 3), picture[-8:].reshape(-1, 3)]
        + [picture[:, :8].reshape(-1, 3), picture[:, -8:].reshape(-1, 3)]
    )
    assert (border == 255).all()
    # No name runs into the bars.
    assert (picture[:, 460:474] == 255).all(-1)[210:-60].all()


def test_shortened_keeps_both_ends():
    assert shortened("short", 400, 18) == "short"
    cut = shortened("TensorFlow and many other words, 2 threads", 200, 18)
    assert cut.startswith("Tensor") and cut.endswith("threads") and "..." in cut
    assert font(18).getlength(cut) <= 200
