from __future__ import annotations

import numpy as np
import pytest

from asap_tf.core.labels import LabelClass
from asap_tf.export.frames import Frames
from asap_tf.export.parity import Answers, Reference

CLASSES = [LabelClass(name, (0, 0, 0), "flat", i) for i, name in enumerate("ab")]


def example(truths=None):
    reference = np.zeros((1, 10, 10), np.uint8)
    reference[0, 5:] = 1
    labels = reference.copy()
    labels[0, 5, :2] = 0
    frames = Frames(np.zeros((1, 10, 10, 3), np.uint8), truths, "made up")
    return Reference(frames, CLASSES, Answers(reference)), Answers(labels)


def test_agreement_is_the_share_of_equal_labels():
    reference, labels = example()
    parity = reference.compare(labels, "int8")
    assert (parity.agreement, parity.floor, parity.holds) == (0.98, 0.97, True)
    assert parity.miou_difference is None
    assert str(parity) == "98.00% of labels as in Keras"


@pytest.mark.parametrize(("precision", "holds"), [("fp32", False), ("fp16", False), ("int8", True)])
def test_floors(precision, holds):
    reference, labels = example()
    assert reference.compare(labels, precision).holds is holds


def test_miou_difference_against_the_truth():
    reference, labels = example(truths=example()[0].answers.labels)
    parity = reference.compare(labels, "int8")
    # Of class a 52 pixels are predicted and 50 right, of class b 48, all right of 50.
    assert parity.miou_difference == pytest.approx((50 / 52 + 48 / 50) / 2 - 1)
    assert str(parity) == "98.00% of labels as in Keras, mIoU -3.92"
    assert parity.to_dict()["source"] == "made up"
