from __future__ import annotations

import re
from xml.etree import ElementTree

import numpy as np
import pytest

from asap_tf.training.report.charts import line_chart, number, running_mean


def parsed(chart: str) -> ElementTree.Element:
    return ElementTree.fromstring(chart.replace("xlink:href", "href"))


def curves(svg: ElementTree.Element) -> list[np.ndarray]:
    """The corners of each line of the chart, with y upwards."""
    drawn = [p for p in svg.iter("path") if re.search("stroke: var\\(--accent\\)", p.get("style"))]
    corners = [re.findall(r"[ML] (\S+) (\S+)", p.get("d")) for p in drawn if p.get("clip-path")]
    return [np.array(line, float) * (1, -1) for line in corners]


def markers(svg: ElementTree.Element) -> int:
    return sum("var(--accent)" in use.get("style", "") for use in svg.iter("use"))


def texts(svg: ElementTree.Element) -> list[str]:
    return [e.text for e in svg.iter("text")]


def test_points_stand_where_their_values_are():
    svg = parsed(line_chart([(0, 0.0), (5_000, 3.0), (20_000, 1.0)], "loss"))
    ((zero, first, second),) = curves(svg)
    assert (first - zero)[0] * 4 == pytest.approx((second - zero)[0], rel=1e-3)
    assert (first - zero)[1] == pytest.approx(3 * (second - zero)[1], rel=1e-3)
    assert {"step", "loss", "0", "20,000", "3"} <= set(texts(svg))


def test_axes_start_at_zero_and_everything_stays_inside():
    values = np.random.default_rng(0).normal(30, 4, 40)
    svg = parsed(line_chart(list(zip(range(7, 47), values, strict=True)), "x"))
    assert texts(svg).count("0") == 2
    width, height = map(float, svg.get("viewBox").split()[2:])
    ((x, y),) = [line.T for line in curves(svg)]
    assert (x > 0).all() and (x < width).all() and (-y > 0).all() and (-y < height).all()


def test_smoothing_draws_the_mean_over_the_faint_series():
    faint, mean = curves(parsed(line_chart([(s, float(s % 2)) for s in range(100)], "loss", 0.9)))
    assert np.ptp(faint[:, 1]) > 5 * np.ptp(mean[-20:, 1])


def test_long_series_are_thinned_but_keep_their_end():
    values = np.random.default_rng(0).normal(size=12_345)
    points = list(enumerate(values))
    (line,) = curves(parsed(line_chart(points, "loss")))
    (end,) = curves(parsed(line_chart([points[0], points[-1]], "loss")))
    assert 300 < len(line) <= 500
    assert line[-1, 0] == pytest.approx(end[-1, 0], abs=1)


def test_a_single_point_and_markers_can_be_seen():
    assert markers(parsed(line_chart([(40, 0.0)], "mIoU"))) == 1
    points = [(40, 12.5), (80, 20.0)]
    assert markers(parsed(line_chart(points, "mIoU", markers=True))) == 2
    assert markers(parsed(line_chart(points, "mIoU"))) == 0


def test_the_page_gives_the_colors_and_labels_are_escaped():
    chart = line_chart([(0, 1.0), (1, 2.0)], '<b> & "co"')
    assert '<b> & "co"' in texts(parsed(chart))
    assert not re.search(r"#[0-9a-f]{6};|https?:", chart)
    assert set(re.findall(r"var\(--(\w+)\)", chart)) == {"soft", "rule", "accent"}


def test_running_mean_weighs_like_the_definition():
    values = np.random.default_rng(0).normal(size=30)
    means = running_mean(list(enumerate(values)), 0.8)
    for index in (0, 1, 7, 29):
        weights = 0.8 ** np.arange(index, -1, -1)
        assert means[index] == (
            index,
            pytest.approx(np.average(values[: index + 1], None, weights)),
        )


def test_number():
    shown = [number(value) for value in (0, 0.25, 30.0, 12_000, 1e-05)]
    assert shown == ["0", "0.25", "30", "12,000", "1e-05"]
