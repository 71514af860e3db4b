"""Backbones: each a function from a normalized frame to maps at strides 4, 8, 16 and 32."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from asap_tf.layers.tensor import Tensor
from asap_tf.models.backbones import efficientnet_lite0 as lite0
from asap_tf.models.backbones.resnet18 import resnet18, resnet18_vd
from asap_tf.models.interface import DEVIATION, MEAN, Color

BackboneName = Literal["resnet18", "resnet18_vd", "efficientnet_lite0"]


@dataclass(frozen=True)
class Backbone:
    """A backbone as `ASAPNet` takes it.

    Attributes:
        pyramid: Function from a normalized frame `(N, H, W, 3)`, H and W multiples of 32, and the
            factor of all channels, to the maps P1 to P4.
        mean: Mean that is subtracted from a frame, RGB in 0..1.
        deviation: Standard deviation that it is divided by, RGB in 0..1.
    """

    pyramid: Callable[[Tensor, float], list[Tensor]]
    mean: Color = MEAN
    deviation: Color = DEVIATION


BACKBONES: dict[BackboneName, Backbone] = {
    "resnet18": Backbone(resnet18),
    "resnet18_vd": Backbone(resnet18_vd),
    "efficientnet_lite0": Backbone(lite0.efficientnet_lite0, lite0.MEAN, lite0.DEVIATION),
}
"""All backbones; `asap_tf.saving.imagenet` has the ImageNet weights of each."""
