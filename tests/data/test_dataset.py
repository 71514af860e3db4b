from __future__ import annotations

from pathlib import Path

import pytest

from asap_tf.core.errors import UsageError
from asap_tf.data.dataset import Dataset, Pair


def test_a_sequence_is_held_out_of_training_for_validation(tmp_path):
    def pairs(*names):
        return tuple(Pair(Path(f"{name}.png"), Path(f"{name}.mask.png")) for name in names)

    splits = {"train": pairs("a1", "a2", "b1"), "val": pairs("a3", "c1"), "test": pairs("a4")}
    dataset = Dataset(tmp_path, "folder", (), None, splits)
    held = dataset.holdout("a", "train", "val").splits
    assert held == {"train": pairs("b1"), "val": pairs("a1", "a2", "a3"), "test": pairs("a4")}
    for prefix, what in (("c", "no name"), ("", "every name")):
        with pytest.raises(UsageError, match=f"holdout='{prefix}': {what} of a frame"):
            dataset.holdout(prefix, "train", "val")
