"""ResNet18-vd's ImageNet weights, which keras-hub has."""

from __future__ import annotations

import re

import keras
import numpy as np

from asap_tf.core.errors import AsapError
from asap_tf.saving.torch_file import CONV_VARIABLES, NORM_VARIABLES


def imagenet_tensors(preset: str) -> dict[str, np.ndarray]:
    """A ResNet18's ImageNet weights through keras-hub, by torchvision's names.

    It asks for a fixed version over HTTPS, and holds it against the server's checksum; no hash of
    them is known to hold them against here.

    Args:
        preset: keras-hub's name of them.

    Raises:
        AsapError: if they can neither be found in the local cache nor downloaded.
    """
    try:
        import keras_hub

        backbone = keras_hub.models.Backbone.from_preset(preset)
    except Exception as error:
        raise AsapError(
            f"weights='imagenet': keras-hub could not get '{preset}' "
            f"({type(error).__name__}). Either let this machine reach the Kaggle hub once (the "
            "file stays in keras-hub's cache), or take model.backbone=resnet18, whose weights can "
            "be downloaded elsewhere"
        ) from error
    return keras_hub_tensors(backbone)


def keras_hub_tensors(backbone: keras.Model) -> dict[str, np.ndarray]:
    """The weights of a keras-hub ResNet18 backbone, by torchvision's names and layout."""
    tensors = {}
    for layer in backbone.layers:
        if not layer.weights:
            continue
        module = torch_name(layer.name)
        variables = CONV_VARIABLES if len(layer.weights) == 1 else NORM_VARIABLES
        for variable, value in zip(variables, layer.get_weights(), strict=True):
            value = value.transpose(3, 2, 0, 1) if value.ndim == 4 else value
            tensors[f"{module}.{variable}"] = value
    return tensors


def torch_name(keras_hub_name: str) -> str:
    """`stack1_block0_0_conv` (keras-hub) to `layer2.0.downsample.0` (torchvision)."""
    if stem := re.fullmatch(r"conv(\d)_(conv|bn)", keras_hub_name):
        return stem[2] + stem[1]
    match = re.fullmatch(r"stack(\d)_block(\d)_(\d)_(conv|bn)", keras_hub_name)
    if match is None:
        raise AsapError(f"keras-hub layer '{keras_hub_name}' is not one of a ResNet18")
    stack, block, index, kind = match.groups()
    if index == "0":
        part = "downsample." + ("0" if kind == "conv" else "1")
    else:
        part = kind + index
    return f"layer{int(stack) + 1}.{block}.{part}"
