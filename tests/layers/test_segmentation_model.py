from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers

from asap_tf.core.errors import UsageError
from asap_tf.layers import SegmentationModel, SimplePyramid
from asap_tf.layers.segmentation_model import as_segmentation_model


@pytest.fixture
def model():
    """Layers that are called twice or have several outputs, so that no name tells a tensor."""
    frames = keras.Input((32, 64, 3), name="frames")
    conv = layers.Conv2D(3, 3, padding="same", bias_initializer="ones")
    first = conv(frames)
    second = conv(layers.AveragePooling2D(2)(first))
    fine, coarse = SimplePyramid(4)([first, second])
    logits = layers.Conv2D(5, 1)(fine)
    aux = layers.UpSampling2D(2)(layers.Conv2D(5, 1)(coarse))
    return SegmentationModel(
        frames,
        {"logits": logits, "aux": aux},
        name="small",
        backbone_outputs={1: first, 2: second},
        pyramid_outputs={1: fine, 2: coarse},
    )


def values(model):
    """What each role's tensor is for the same frame."""
    roles = {
        "logits": model.logits,
        **model.aux_outputs,
        **{f"backbone{s}": x for s, x in model.backbone_outputs.items()},
        **{f"pyramid{s}": x for s, x in model.pyramid_outputs.items()},
    }
    frame = np.random.default_rng(0).random((1, 32, 64, 3), "float32")
    return {name: y.numpy() for name, y in keras.Model(model.input, roles)(frame).items()}


def test_roles_are_kept_through_saving(model, tmp_path):
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert type(loaded) is SegmentationModel and loaded.name == "small"
    expected, found = values(model), values(loaded)
    assert found.keys() == expected.keys() and len(found) == 6
    for name, value in found.items():
        np.testing.assert_array_equal(value, expected[name], err_msg=name)


def test_roles_of_the_outputs_are_kept_by_a_clone(model):
    clone = keras.models.clone_model(model, keras.Input((64, 64, 3)))
    assert type(clone) is SegmentationModel
    assert clone.logits.shape == (None, 64, 64, 5) and clone.aux_outputs.keys() == {"aux"}


def test_inference_model_shares_layers_and_keeps_the_maps(model):
    inference = model.inference_model()
    assert inference.aux_outputs == {} and inference.output is model.logits
    assert inference.backbone_outputs == model.backbone_outputs
    assert inference.count_params() < model.count_params()
    assert {*inference.layers} < {*model.layers}


def test_auxiliary_outputs_that_cannot_be_coarser(model):
    with pytest.raises(UsageError, match="small: output 'aux' cannot have a stride of 2"):
        model.with_aux_stride(2)


def test_maps_that_the_outputs_do_not_depend_on_are_dropped():
    frames = keras.Input((32, 64, 3))
    first = layers.Conv2D(5, 1)(frames)
    second = layers.Conv2D(5, 1)(layers.AveragePooling2D(2)(first))
    found = SegmentationModel(frames, first, backbone_outputs={1: first, 2: second})
    assert found.backbone_outputs == {1: first}


def test_a_plain_model_gives_its_output_as_logits():
    frames = keras.Input((32, 64, 3))
    x = layers.Conv2D(5, 1)(frames)
    found = as_segmentation_model(keras.Model([frames], x, name="theirs"))
    assert found.logits is x and found.name == "theirs"
    assert (found.aux_outputs, found.backbone_outputs, found.pyramid_outputs) == ({}, {}, {})
    outputs = {"logits": x, "aux3": layers.ReLU()(x)}
    found = as_segmentation_model(keras.Model(frames, outputs))
    assert found.logits is x and found.aux_outputs.keys() == {"aux3"}
    stack = keras.Sequential([keras.Input((32, 64, 3)), layers.Conv2D(5, 1)])
    assert as_segmentation_model(stack).logits.shape == (None, 32, 64, 5)
    assert as_segmentation_model(found) is found


def test_a_plain_models_pyramid_is_found():
    frames = keras.Input((64, 64, 3))
    maps = [layers.AveragePooling2D(2**i)(frames) for i in (2, 3)]
    fine, coarse = SimplePyramid(4)(maps)
    found = as_segmentation_model(keras.Model(frames, [fine, coarse]))
    assert found.backbone_outputs == {4: maps[0], 8: maps[1]}
    assert found.pyramid_outputs == {4: fine, 8: coarse}
