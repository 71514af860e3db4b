"""A run folder that version 0.1 wrote, stopped after the first of two epochs.

`old_run/` holds the folder, the labels of its model for the first validation frame, and the weights
with which version 0.1 itself ended it.
"""

from __future__ import annotations

import functools
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import asap_tf
from asap_tf.layers.blocks import conv_block
from asap_tf.models.interface import head, input_frames, normalize, segmentation_model
from asap_tf.models.registry import BUILDERS
from asap_tf.training.run_folder import RunFolder

OLD = Path(__file__).with_name("old_run")


def build_old(num_classes, input_shape, weights, aux_heads, **options):
    """The network of the run, which stood in ASAP's place."""
    frames = input_frames(num_classes, input_shape)
    x, maps = normalize(frames), {}
    for i in range(1, 6):
        x = conv_block(x, 4, 3, f"backbone{i}", stride=2)
        maps[2**i] = x
    logits = head(maps[8], num_classes, 8, "logits", filters=4)
    return segmentation_model("small", frames, logits, maps, aux_heads, weights)


@pytest.fixture(scope="module")
def old_data(blocks) -> Path:
    return blocks(train=4, val=2)


def test_an_old_run_opens_with_the_labels_it_had(old_data):
    frame = np.asarray(Image.open(old_data / "val" / "0.png"))
    labels = asap_tf.load(OLD / "run").predict(frame[np.newaxis])[0]
    np.testing.assert_array_equal(labels, np.load(OLD / "labels.npz")["labels"])


def test_an_old_run_is_resumed_to_the_end_it_would_have_had(
    trainer, old_data, tmp_path, monkeypatch
):
    monkeypatch.setitem(BUILDERS, "asap", functools.wraps(BUILDERS["asap"])(build_old))
    run = RunFolder(shutil.copytree(OLD / "run", tmp_path / "run"))
    recipe = run.path / "recipe.yaml"
    recipe.write_text(recipe.read_text().replace("/tmp/old_tiny", str(old_data)))
    assert run.latest().step == 2
    trainer(run.path, run.recipe).train()
    end, expected = run.latest(), np.load(OLD / "end.npz")
    assert end.step == 4
    for name in expected.files:
        np.testing.assert_allclose(end.arrays[name], expected[name], atol=1e-4, err_msg=name)
