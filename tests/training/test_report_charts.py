from __future__ import annotations

from xml.etree import ElementTree

import numpy as np
import pytest

from asap_tf.training.report.charts import line_chart, number, running_mean, ticks


def places(svg: ElementTree.Element, style: str = "line") -> np.ndarray:
    line = next(e for e in svg.iter("polyline") if e.get("class") == style)
    return np.array([p.split(",") for p in line.get("points").split()], float)


def texts(svg: ElementTree.Element) -> list[str]:
    return [e.text for e in svg.iter("text")]


def test_points_stand_where_the_ticks_say():
    svg = ElementTree.fromstring(line_chart([(0, 0.0), (50, 3.0), (100, 1.0)], "loss"))
    drawn = places(svg)

    def tick(text: str, axis: str) -> float:
        marks = [e for e in svg if e.tag in ("line", "text")]
        index = next(i for i, e in enumerate(marks) if e.tag == "text" and e.text == text)
        return float(marks[index - 1].get(axis))

    assert drawn[0] == pytest.approx([tick("0", "x1"), tick("0", "y1")], abs=0.1)
    assert drawn[1, 1] == pytest.approx(tick("3", "y1"), abs=0.1)
    assert drawn[2, 1] == pytest.approx(tick("1", "y1"), abs=0.1)
    assert drawn[2, 0] == pytest.approx(tick("100", "x1"), abs=0.1)
    assert drawn[1, 0] == pytest.approx((drawn[0, 0] + drawn[2, 0]) / 2, abs=0.1)
    assert {"step", "loss"} <= set(texts(svg))


def test_everything_stays_inside_the_picture():
    values = np.random.default_rng(0).normal(3, 4, 40)
    svg = ElementTree.fromstring(line_chart(list(zip(range(7, 47), values, strict=True)), "x"))
    width, height = map(float, svg.get("viewBox").split()[2:])
    drawn = places(svg)
    assert (drawn > 0).all() and (drawn[:, 0] < width).all() and (drawn[:, 1] < height).all()


def test_smoothing_draws_the_mean_before_the_faint_series():
    points = [(s, float(s % 2)) for s in range(100)]
    svg = ElementTree.fromstring(line_chart(points, "loss", smooth=0.9))
    assert np.ptp(places(svg, "line faint")[:, 1]) > 5 * np.ptp(places(svg)[-20:, 1])


def test_long_series_are_thinned_but_keep_their_end():
    points = [(s, 1.0) for s in range(12_345)]
    thin = ElementTree.fromstring(line_chart(points, "loss"))
    end = places(ElementTree.fromstring(line_chart(points[-1:] * 2, "loss")))[-1]
    assert len(places(thin)) <= 500
    assert places(thin)[-1] == pytest.approx(end)


def test_a_single_point_and_markers_can_be_seen():
    svg = ElementTree.fromstring(line_chart([(40, 0.0)], "mIoU"))
    assert len(list(svg.iter("circle"))) == 1
    svg = ElementTree.fromstring(line_chart([(40, 12.5), (80, 20.0)], "mIoU", markers=True))
    assert [t.text for t in svg.iter("title")] == ["step 40: 12.5", "step 80: 20"]


def test_the_label_is_escaped():
    chart = line_chart([(0, 1.0)], '<b> & "co"')
    assert '<b> & "co"' in texts(ElementTree.fromstring(chart))


def test_no_points():
    with pytest.raises(ValueError, match="at least one"):
        line_chart([], "loss")


def test_running_mean_weighs_like_the_definition():
    values = np.random.default_rng(0).normal(size=30)
    means = running_mean(list(enumerate(values)), 0.8)
    for index in (0, 1, 7, 29):
        weights = 0.8 ** np.arange(index, -1, -1)
        assert means[index] == (
            index,
            pytest.approx(np.average(values[: index + 1], None, weights)),
        )


@pytest.mark.parametrize("high", [1e-5, 0.0123, 0.3, 1, 7, 47, 99.9, 460, 12_345, 3e6])
@pytest.mark.parametrize("low", [0.0, -1.0])
def test_ticks_are_few_even_and_enclose(low, high):
    found = ticks(low * high, high)
    assert 4 <= len(found) <= 8
    slack = 1e-6 * high
    assert found[0] <= low * high + slack and found[-1] >= high - slack
    assert np.allclose(np.diff(found), found[1] - found[0])
    assert found[-1] - found[0] < 2 * (high - low * high)


def test_ticks_of_nothing():
    assert len(ticks(0, 0)) >= 2


def test_number():
    shown = [number(value) for value in (0, 0.25, 30.0, 12_000, 1e-05)]
    assert shown == ["0", "0.25", "30", "12,000", "1e-05"]
