from __future__ import annotations

import pytest

from asap_tf.core.sizes import network_side, size_of_frame, size_without_frame


@pytest.mark.parametrize(
    ("length", "side"),
    [(1, 32), (47.9, 32), (48, 64), (79, 64), (80, 96), (360, 352), (720, 736), (1024, 1024)],
)
def test_nearest_multiple_of_32_halves_up(length, side):
    assert network_side(length) == side


@pytest.mark.parametrize(
    ("size", "frame", "expected"),
    [
        (512, (256, 512), (256, 512)),
        (512, (720, 1280), (288, 512)),
        (1024, (4000, 3000), (1024, 768)),
        ((352, 480), (1024, 2048), (352, 480)),
        (None, (90, 130), (90, 130)),
    ],
)
def test_a_length_is_that_of_the_longer_side(size, frame, expected):
    assert size_of_frame(size, frame) == expected


def test_without_a_frame_a_length_is_that_of_a_wide_one():
    assert size_without_frame(1024) == (512, 1024)
    assert size_without_frame((352, 480)) == (352, 480)
    assert size_without_frame(None) is None
