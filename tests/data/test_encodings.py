from __future__ import annotations

import time

import numpy as np
import pytest

from asap_tf.data.encodings import ColorEncoding, IndexEncoding, train_id_encoding

COLORS = {(128, 64, 128): 0, (0, 0, 142): 1, (0, 0, 143): 2, (255, 255, 255): 3, (0, 0, 0): 255}


def test_indices_decode_pixel_by_pixel() -> None:
    table = {7: 0, 8: 1, 255: 2, 0: 255}
    raw = np.random.default_rng(0).choice(np.uint8(list(table)), (17, 23))
    decoded = IndexEncoding(table).decode(raw)
    assert decoded.dtype == np.uint8
    assert decoded.tolist() == [[table[value] for value in row] for row in raw.tolist()]


def test_colors_decode_pixel_by_pixel() -> None:
    raw = np.random.default_rng(0).choice(np.uint8(list(COLORS)), (17, 23))
    decoded = ColorEncoding(COLORS).decode(raw)
    assert decoded.dtype == np.uint8
    assert decoded.tolist() == [[COLORS[tuple(color)] for color in row] for row in raw.tolist()]


@pytest.mark.parametrize("color", [(0, 0, 1), (0, 0, 141), (129, 64, 128), (255, 255, 254)])
def test_a_color_next_to_one_of_the_table_is_outside(color: tuple[int, int, int]) -> None:
    raw = np.uint8([[color, (0, 0, 0)]])
    with pytest.raises(ValueError) as error:
        ColorEncoding(COLORS).decode(raw)
    assert f"holds colors outside the class table: {color};" in str(error.value)


def test_a_mask_of_millions_of_colors() -> None:
    colors = np.arange(1 << 24, dtype=">u4").view(np.uint8).reshape(4096, 4096, 4)[..., 1:]
    started = time.monotonic()
    with pytest.raises(ValueError, match=r": \(0, 0, 1\), .*\(0, 0, 8\) and 16777203 more;"):
        ColorEncoding(COLORS).decode(colors)
    # It took 150 seconds to sort them.
    assert time.monotonic() - started < 30


def test_many_values_outside_are_cut_short() -> None:
    with pytest.raises(ValueError, match="19, 20, 21, 22, 23, 24, 25, 26 and 3 more;"):
        train_id_encoding(19).decode(np.arange(30, dtype=np.uint8)[None])
