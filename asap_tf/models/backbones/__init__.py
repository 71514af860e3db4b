"""Backbones: each a function from a normalized frame to maps at strides 4, 8, 16 and 32."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from asap_tf.layers.tensor import Tensor
from asap_tf.models.backbones import efficientnet_lite0 as lite0
from asap_tf.models.backbones.resnet18 import resnet18, resnet18_vd
from asap_tf.models.interface import DEVIATION, MEAN, Color
from asap_tf.saving import keras_hub_weights as keras_hub
from asap_tf.saving import torchvision_weights as torchvision


@dataclass(frozen=True)
class Backbone:
    """A backbone as `ASAPNet` takes it.

    Attributes:
        pyramid: From a normalized frame `(N, H, W, 3)`, H and W multiples of 32, and the factor
            of all channels, to the maps P1 to P4.
        imagenet: Its ImageNet weights by PyTorch's names and in its layout. Raises AsapError if
            they cannot be had.
        mean: That it subtracts, RGB in 0..1.
        deviation: That it divides by.
    """

    pyramid: Callable[[Tensor, float], list[Tensor]]
    imagenet: Callable[[], dict[str, np.ndarray]]
    mean: Color = MEAN
    deviation: Color = DEVIATION


BACKBONES = {
    "resnet18": Backbone(resnet18, torchvision.imagenet_tensors),
    "resnet18_vd": Backbone(
        resnet18_vd, partial(keras_hub.imagenet_tensors, "resnet_vd_18_imagenet")
    ),
    "efficientnet_lite0": Backbone(
        lite0.efficientnet_lite0, lite0.imagenet_tensors, lite0.MEAN, lite0.DEVIATION
    ),
}
"""By the name that a recipe gives."""
