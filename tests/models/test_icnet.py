from __future__ import annotations

import keras
import pytest
from keras import layers

from asap_tf.models.icnet import ICNet


@pytest.fixture(scope="module")
def model():
    return ICNet(19, (None, None, 3))


def shape_at(model, name, size):
    end = keras.Model(model.inputs[0], model.get_layer(name).output)
    return end.compute_output_shape((1, *size, 3))[1:]


def test_size_is_that_printed_beside_it(model, convolutions):
    parameters, operations = convolutions(model, (1024, 2048))
    # Quoted in later papers: "26.5M", which reads like megabytes of float32, and 28.3 GFLOPs,
    # one to a multiply-accumulate; the authors' own layers give the 29.0 G found here.
    assert 4 * parameters == pytest.approx(26.5e6, rel=0.01)
    assert operations == pytest.approx(28.3e9, rel=0.03)
    assert (parameters, operations) == (6_671_443, 29_028_777_984)


def test_branches_and_widths_are_the_published_ones(model):
    size = (512, 1024)
    for name, stride, channels in (
        ("full_conv3_relu", 8, 64),
        ("half_frames", 2, 3),
        ("half_conv1_3_relu", 4, 64),
        ("half_conv2_3_relu", 8, 128),
        ("half_conv3_1_relu", 16, 256),
        ("quarter_conv3_4_relu", 32, 256),
        ("quarter_conv4_6_relu", 32, 512),
        ("quarter_conv5_3_relu", 32, 1024),
        ("quarter_conv5_4_relu", 32, 256),
        ("fusion16_relu", 16, 128),
        ("fusion8_relu", 8, 128),
        ("logits_classes", 4, 19),
    ):
        assert shape_at(model, name, size) == (512 // stride, 1024 // stride, channels), name
    added = [x.name for x in model.layers if isinstance(x, layers.Add) and "conv" in x.name]
    assert len(added) == 3 + 4 + 6 + 3
    rates = {x.name: x.dilation_rate[0] for x in model.layers if isinstance(x, layers.Conv2D)}
    assert rates["quarter_conv4_1_3x3"] == 2 and rates["quarter_conv5_1_3x3"] == 4
