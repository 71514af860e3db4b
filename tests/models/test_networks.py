"""What holds for ASAP and all of its rivals alike."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from asap_tf import OhemCrossEntropy, open_dataset
from asap_tf.data.images import read_pair
from asap_tf.errors import UsageError
from asap_tf.models import NETWORKS
from asap_tf.recipe import load_recipe, shipped_recipes

STEPS = 20
ROUNDS = 8


@pytest.mark.parametrize("name", [name for name in NETWORKS if name != "asap"])
def test_over_fits(name, streets_root):
    """Two frames, the loss of the recipes and both auxiliary heads: above 90 % of the pixels.

    ASAP does so for `trained_model`.
    """
    dataset = open_dataset(streets_root)
    pairs = [read_pair(pair, dataset.encoding) for pair in dataset.pairs("train")[:2]]
    frames, labels = (np.stack(arrays) for arrays in zip(*pairs, strict=True))
    keras.utils.set_random_seed(0)
    model = NETWORKS[name](19, (64, 128, 3), aux_heads=True)
    loss = OhemCrossEntropy(min_kept=1.0)
    model.compile(keras.optimizers.Adam(2e-3), dict.fromkeys(model.output, loss), jit_compile=False)
    x, y = (np.repeat(a[np.newaxis], STEPS, 0).reshape(-1, *a.shape[1:]) for a in (frames, labels))
    known = labels != 255
    accuracy = 0.0
    for _ in range(ROUNDS):
        model.fit(x, dict.fromkeys(model.output, y), batch_size=2, shuffle=False, verbose=0)
        logits = model.predict_on_batch(frames)["logits"]
        accuracy = np.mean(logits.argmax(-1)[known] == labels[known])
        if accuracy > 0.9:
            break
    assert accuracy > 0.9


@pytest.mark.parametrize("file", shipped_recipes(), ids=lambda f: f.name)
def test_every_recipe_takes_every_network(file):
    for name in NETWORKS:
        recipe = load_recipe(file, [f"model.name={name}"])
        assert recipe.model.name == name
        assert (recipe.model.weights == "imagenet") <= (name == "asap")


def test_a_rival_has_none_of_asaps_options():
    with pytest.raises(UsageError, match="pidnet_s has no fuse_stride: that is an option of asap"):
        load_recipe("camvid_resnet18", ["model.name=pidnet_s", "model.fuse_stride=4"])
    assert load_recipe("camvid_resnet18", ["model.name=pidnet_s"]).model.options() == {}
