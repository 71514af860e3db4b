from __future__ import annotations

import numpy as np
import pytest

from asap_tf.inference.calibrate import calibration_error, likeliest_temperature
from asap_tf.runtime.network import softmax


def sharp_network(count: int, true: float) -> tuple[np.ndarray, np.ndarray]:
    """Logits `true` times as large as those that the labels are drawn by."""
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 2, (count, 5))
    chances = softmax(logits).cumsum(-1)
    labels = (rng.random((count, 1)) > chances).sum(-1).clip(0, 4)
    return logits * true, labels


@pytest.mark.parametrize("true", [0.5, 1.0, 3.0])
def test_the_temperature_that_made_the_logits_is_found(true):
    logits, labels = sharp_network(40_000, true)
    temperature = likeliest_temperature(logits, labels)
    assert temperature == pytest.approx(true, rel=0.03)
    after = calibration_error(softmax(logits / temperature), labels)
    assert after < 0.01
    if true != 1:
        assert calibration_error(softmax(logits), labels) > 0.05


def test_calibration_error_against_a_loop():
    logits, labels = sharp_network(500, 2.0)
    probabilities = softmax(logits)
    total = 0.0
    for i in range(15):
        inside = [
            (p.max(), p.argmax() == label)
            for p, label in zip(probabilities, labels, strict=True)
            if i / 15 <= p.max() < (i + 1) / 15 or (i == 14 and p.max() == 1)
        ]
        if inside:
            confidence, right = np.array(inside).mean(0)
            total += len(inside) / 500 * abs(confidence - right)
    assert calibration_error(probabilities, labels) == pytest.approx(total)
