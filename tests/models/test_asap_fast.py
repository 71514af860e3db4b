from __future__ import annotations

import re

import pytest

from asap_tf.core.errors import UsageError
from asap_tf.export.graph import Deployment
from asap_tf.export.writers import litert
from asap_tf.export.xnnpack_report import xnnpack_report
from asap_tf.models.asap_fast import ASAPFast
from asap_tf.streets import render


def by_hand(widths, depths, positions):
    """Parameters and multiply-accumulates of all convolutions but those of FFDN and attention."""
    parameters = products = 0

    def conv(of, filters, kernel, stride):
        nonlocal parameters, products
        parameters += kernel**2 * of * filters
        products += kernel**2 * of * filters * positions // stride**2

    for i, (of, filters) in enumerate(zip((3, *widths), widths, strict=False)):
        conv(of, filters, 3, 2 * 2**i)
        for _ in range(2 * depths[i]):
            conv(filters, filters, 3, 2 * 2**i)
    conv(128, 64, 3, 8)
    conv(64, 32, 1, 8)
    conv(widths[1], 32, 1, 4)
    conv(32, 32, 3, 4)
    conv(32, 19, 1, 4)
    return parameters + 19, products


@pytest.mark.parametrize(
    ("widths", "depths"),
    [((16, 32, 64, 128, 256), (0, 1, 2, 3, 2)), ((24, 48, 96, 192, 256), (1, 0, 1, 2, 3))],
)
def test_size_is_what_its_widths_and_depths_say(widths, depths, convolutions):
    model = ASAPFast(19, (64, 128, 3), widths, depths)
    assert convolutions(model) == by_hand(widths, depths, 64 * 128)


@pytest.mark.parametrize(("detail", "shape"), [(True, (16, 32, 32)), (False, (8, 16, 64))])
def test_logits_are_finer_with_detail(detail, shape):
    model = ASAPFast(5, (64, 128, 3), detail=detail)
    assert model.get_layer("logits_classes").input.shape[1:] == shape
    assert model.output_shape == (None, 64, 128, 5)


def test_int8_is_one_partition(tmp_path):
    deployment = Deployment(ASAPFast(19, (64, 128, 3)), (64, 128))
    litert.write(deployment, "int8", tmp_path / "model.tflite", [render(0, 64, 128).image], {})
    found = xnnpack_report(tmp_path / "model.tflite")
    assert found.partitions == 1 and set(found.outside) == {"CAST", "ARG_MAX"}
    # Norms and attention alone are in float.
    assert not {"CONV_2D", "RESIZE_BILINEAR", "PAD"} & set(found.float32)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"fusion": "ffnd"}, "unknown `fusion` 'ffnd'; did you mean 'ffdn'?"),
        ({"attention": "vertica"}, "unknown `attention` 'vertica'; did you mean 'vertical'?"),
        ({"widths": (32, 64, 128)}, "`widths` and `depths` are five each, got (32, 64, 128)"),
    ],
)
def test_refuses(options, message):
    with pytest.raises(UsageError, match=re.escape(message)):
        ASAPFast(**options)
