from __future__ import annotations

import contextlib

import pytest

from asap_tf.core.errors import UsageError
from asap_tf.training import strategy


def test_a_batch_that_devices_cannot_share_is_refused(monkeypatch):
    monkeypatch.setattr(strategy, "tensorflow_devices", lambda: (3, contextlib.nullcontext))
    assert strategy.strategy_scope(6) is contextlib.nullcontext
    with pytest.raises(UsageError, match="train.batch_size=4: 3 devices .* a multiple of 3"):
        strategy.strategy_scope(4)
