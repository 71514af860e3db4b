"""The sizes that a network can run at."""

from __future__ import annotations

import math

from asap_tf.core.errors import UsageError

STRIDE = 32
"""Networks run at multiples of this: the coarsest feature map has stride 32."""

PADDING = 116
"""Of all three channels, where frames are padded to such a size: ImageNet's mean."""

Size = int | tuple[int, int]
"""`(H, W)`, or the length of a frame's longer side, with its aspect kept."""


def network_side(length: float) -> int:
    """The multiple of 32 nearest to `length` pixels, halves up, and at least 32.

    Examples:
        >>> network_side(360), network_side(720)
        (352, 736)
    """
    return max(1, math.floor(length / STRIDE + 0.5)) * STRIDE


def require_size(size: tuple[int, int]) -> None:
    """Refuses a size that no network can run at.

    Raises:
        UsageError: if a side is shorter than 32.
    """
    if min(size) < STRIDE:
        raise UsageError(f"`size` {size[0]}x{size[1]}: at least {STRIDE}x{STRIDE} is needed")


def padded(size: tuple[int, ...]) -> tuple[int, int]:
    """The size with frames padded below and to the right to multiples of 32.

    Examples:
        >>> padded((720, 1280))
        (736, 1280)
    """
    height, width = (-(-side // STRIDE) * STRIDE for side in size)
    return height, width


def size_of_frame(size: Size | None, frame: tuple[int, ...]) -> tuple[float, float]:
    """The height and width to bring a frame to, before they are rounded to multiples of 32.

    Args:
        size: `(H, W)`; or the length of the longer side, which keeps the frame's aspect; None for
            the frame's own.
        frame: `(H, W)` of the frame.

    Examples:
        >>> size_of_frame(1024, (720, 1280))
        (576.0, 1024.0)
    """
    if isinstance(size, int):
        return frame[0] * size / max(frame), frame[1] * size / max(frame)
    return size or (frame[0], frame[1])


def size_without_frame(size: Size | None) -> tuple[int, int] | None:
    """The `(H, W)` of a network that is made or timed for frames that are not known.

    Of the length of a longer side, that of frames twice as wide as high, as Cityscapes' are.

    Examples:
        >>> size_without_frame(1024)
        (512, 1024)
    """
    return (network_side(size / 2), network_side(size)) if isinstance(size, int) else size
