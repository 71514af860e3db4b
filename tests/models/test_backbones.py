from __future__ import annotations

import keras
import numpy as np

from asap_tf import ASAPNet
from asap_tf.models.backbones import resnet18


def test_parameters_and_strides_of_resnet18():
    inputs = keras.Input((64, 96, 3))
    model = keras.Model(inputs, resnet18(inputs))
    assert sum(np.prod(w.shape) for w in model.trainable_weights) == 11_176_512
    assert [shape[1:] for shape in model.output_shape] == [
        (16, 24, 64),
        (8, 12, 128),
        (4, 6, 256),
        (2, 3, 512),
    ]


def test_width_scales_the_channels_of_the_backbone_alone():
    whole, half = ASAPNet(5, (64, 96, 3)), ASAPNet(5, (64, 96, 3), width=0.5)
    assert half.get_layer("backbone_layer4_1_relu2").output.shape[-1] == 256
    convs = [c for c in whole.layers if c.name.startswith("backbone_") and "conv" in c.name]
    ratios = [half.get_layer(c.name).count_params() / c.count_params() for c in convs if c.weights]
    # Frames keep their three channels, so the first convolution shrinks on one side only.
    assert ratios == [0.5] + [0.25] * 16
    assert half.get_layer("logits").output.shape == whole.get_layer("logits").output.shape
    assert half.get_layer("fusion").count_params() == whole.get_layer("fusion").count_params()
