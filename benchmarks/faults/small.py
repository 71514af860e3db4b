"""What the campaigns train: colored blocks, a short recipe, and a network that is soon built."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

RECIPE = """
name: small
model: {{width: 0.125}}
augment: {{crop: [64, 96], scales: [0.75, 1.0, 1.5]}}
optimizer: {{name: adamw, learning_rate: 0.001, ema: 0.9}}
train: {{epochs: 6, batch_size: 4, validate_every: 2, precision: float32}}
data: {{root: {root}}}
"""


def write_dataset(root: Path) -> None:
    """CamVid's layout: 20 training frames of colored blocks, 6 to validate on."""
    rng = np.random.default_rng(0)
    colors = rng.integers(0, 256, (12, 3)).astype("uint8")
    for split, count in (("train", 20), ("val", 6)):
        (root / split).mkdir(parents=True)
        (root / f"{split}annot").mkdir()
        for i in range(count):
            mask = np.kron(rng.integers(0, 12, (4, 6)), np.ones((24, 24))).astype("uint8")
            Image.fromarray(colors[mask]).save(root / split / f"{i}.png")
            Image.fromarray(mask).save(root / f"{split}annot" / f"{i}.png")


def put_network() -> None:
    """Puts five strided Conv Blocks in ASAP's place: what is tried is all that is around it."""
    from asap_tf.layers.blocks import conv_block
    from asap_tf.models import ASAPNet
    from asap_tf.models.interface import head, input_frames, normalize, segmentation_model
    from asap_tf.models.registry import BUILDERS

    @functools.wraps(ASAPNet)
    def build(
        num_classes: int,
        input_shape: tuple,
        weights: str | None = None,
        aux_heads: bool = False,
        **options: Any,
    ) -> Any:
        frames = input_frames(num_classes, input_shape)
        x, maps = normalize(frames), {}
        for i in range(5):
            x = conv_block(x, 8, 3, f"backbone{i + 1}", stride=2)
            maps[2 ** (i + 1)] = x
        logits = head(maps[8], num_classes, 8, "logits")
        return segmentation_model("small", frames, logits, maps, aux_heads, weights)

    BUILDERS["asap"] = build
