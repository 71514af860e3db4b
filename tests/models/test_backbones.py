from __future__ import annotations

import keras
import numpy as np

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
