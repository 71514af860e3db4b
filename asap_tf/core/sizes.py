"""The sizes that a network can run at."""

from __future__ import annotations

import math

STRIDE = 32
"""Network sizes are multiples of this: the coarsest feature map has stride 32."""


def network_side(length: float) -> int:
    """The multiple of 32 nearest to `length` pixels, halves up, and at least 32.

    Example:
        >>> network_side(360), network_side(720)
        (352, 736)
    """
    return max(1, math.floor(length / STRIDE + 0.5)) * STRIDE
