from __future__ import annotations

import pytest

from asap_tf.reproduce.ablations import Row


@pytest.fixture
def row():
    """A training's result by variant, seed, mIoU in percent and IoU of some classes in percent."""

    def make(variant, seed, miou, **iou):
        shares = {name: value and value / 100 for name, value in iou.items()}
        return Row(variant, seed, miou / 100, shares, 600, 3.0)

    return make
