from __future__ import annotations

import os
import subprocess
import sys

import keras
import numpy as np
import pytest

from asap_tf import ASAPNet
from asap_tf.core.errors import UsageError
from asap_tf.models.operations import count_operations


def frames(*shape):
    return np.random.default_rng(0).integers(0, 256, (*shape, 3)).astype("uint8")


def test_size_and_operations_are_those_deduced_from_the_paper():
    model = ASAPNet(19, (512, 1024, 3))
    assert model.output_shape == (None, 512, 1024, 19)
    assert 20e9 < count_operations(model).total < 23e9


@pytest.mark.parametrize(
    "options",
    [
        *({"fusion": fusion} for fusion in ("general", "ln", "in", "none")),
        *({"attention": attention} for attention in ("horizontal", "full", "none")),
        {"fuse_stride": 4},
    ],
    ids=lambda options: "-".join(map(str, next(iter(options.items())))),
)
def test_every_row_of_the_tables_builds(options):
    model = ASAPNet(5, (64, 96, 3), width=0.125, aux_heads=True, **options)
    logits = model(frames(1, 64, 96), training=False)["logits"]
    assert logits.shape == (1, 64, 96, 5) and np.isfinite(logits).all()


def test_uint8_and_float_frames_are_the_same():
    model = ASAPNet(3, (64, 64, 3), width=0.125)
    x = frames(1, 64, 64)
    np.testing.assert_array_equal(model(x), model(x.astype("float32")))


def test_normalization_is_imagenets():
    model = ASAPNet(3, (32, 32, 3), width=0.125)
    x = frames(1, 32, 32)
    expected = (x / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    np.testing.assert_allclose(model.get_layer("normalize")(x), expected, atol=1e-5)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_logits_are_float32_under_mixed_precision(policy):
    keras.config.set_dtype_policy(policy)
    try:
        model = ASAPNet(3, (64, 64, 3), width=0.125, aux_heads=True)
    finally:
        keras.config.set_dtype_policy("float32")
    for logits in model(frames(1, 64, 64)).values():
        assert logits.dtype == "float32" and np.isfinite(logits).all()


# Imported in another order than here.
LOAD = """
import asap_tf, keras, numpy as np
model = keras.models.load_model(r"{path}")
np.save(r"{out}", model.predict(np.load(r"{frames}"), verbose=0))
assert keras.backend.backend() == "jax"
"""


def test_another_process_and_backend_gives_the_same_outputs(tmp_path):
    model = ASAPNet(5, (64, 96, 3), width=0.125)
    x = frames(2, 64, 96)
    path, out, inputs = tmp_path / "m.keras", tmp_path / "out.npy", tmp_path / "in.npy"
    model.save(path)
    np.save(inputs, x)
    code = LOAD.format(path=path, out=out, frames=inputs)
    # Compiling for speed would take twice as long.
    settings = {"KERAS_BACKEND": "jax", "JAX_DISABLE_MOST_OPTIMIZATIONS": "1"}
    subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ, **settings})
    np.testing.assert_allclose(np.load(out), model(x), atol=1e-4)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"backbone": "resnet81"}, "unknown `backbone` 'resnet81'; did you mean 'resnet18'?"),
        ({"fusion": "fdn"}, "unknown `fusion` 'fdn'; did you mean 'ffdn'?"),
        ({"attention": "diagonal"}, "unknown `attention` 'diagonal'"),
        ({"fuse_stride": 16}, "`fuse_stride` must be 8 or 4"),
        ({"width": 0.3}, "`width` must be a positive multiple of 1/8"),
        ({"width": 0.5, "weights": "imagenet"}, "no ImageNet weights of `width` 0.5"),
        ({"input_shape": (500, 1024, 3)}, "multiples of 32"),
        ({"input_shape": (512, 1024, 1)}, "must be .H, W, 3."),
        ({"num_classes": 1}, "`num_classes` must be at least 2"),
        ({"weights": "imagnet"}, "`weights`='imagnet': no such file"),
    ],
)
def test_refuses(arguments, message):
    with pytest.raises(UsageError, match=message):
        ASAPNet(**arguments)
