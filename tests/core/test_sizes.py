from __future__ import annotations

import pytest

from asap_tf.core.sizes import network_side


@pytest.mark.parametrize(
    ("length", "side"),
    [(1, 32), (47.9, 32), (48, 64), (79, 64), (80, 96), (360, 352), (720, 736), (1024, 1024)],
)
def test_nearest_multiple_of_32_halves_up(length, side):
    assert network_side(length) == side
