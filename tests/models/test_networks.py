"""What holds for every registered network alike."""

from __future__ import annotations

import collections
import re
import signal
import subprocess
import sys
from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter
from keras import layers

from asap_tf import OhemCrossEntropy
from asap_tf.core.errors import UsageError
from asap_tf.export.graph import Deployment
from asap_tf.export.rewrites.labels import repeat_as_bytes, repeat_by_joining
from asap_tf.export.writers import litert, onnx, tensorrt_rtx
from asap_tf.models import create_model, list_models
from asap_tf.models.registry import builder_of
from asap_tf.saving.archive import checked_copy

SIZE = (64, 96)
# STDC2 is STDC1 with more blocks.
SHIPPED = [
    name
    for name in list_models()
    if builder_of(name).__module__.startswith("asap_tf.") and name != "stdc2"
]

STEPS = """
import keras
import tensorflow as tf

from asap_tf.models import create_model, list_models

for name in list_models():
    # Its strided 1 x 1 convolutions from 8 channels are what TensorFlow has crashed in.
    options = {"width": 0.125} if name == "asap" else {}
    model = create_model(name, 2, (None, None, 3), aux_heads=True, **options)
    weights = model.trainable_variables
    for batch in (1, 2, 8) if options else (1, 2):
        frames = keras.random.uniform((batch, 32, 64, 3), 0, 255)
        print(name, options, "batch", batch, flush=True)
        with tf.GradientTape() as tape:
            loss = sum(tf.reduce_mean(y**2) for y in model(frames, training=True).values())
        for weight, gradient in zip(weights, tape.gradient(loss, weights), strict=True):
            weight.assign_sub(1e-6 * gradient)
    keras.backend.clear_session()
"""


@pytest.fixture(scope="module", params=SHIPPED)
def network(request):
    """A network for frames of any size, two frames, and its outputs for them.

    Its statistics and biases are such as training leaves them, and it has its auxiliary heads.
    """
    keras.utils.set_random_seed(0)
    rng = np.random.default_rng(0)
    model = create_model(request.param, 5, (None, None, 3), aux_heads=True)
    for layer in model.layers:
        if isinstance(layer, layers.BatchNormalization):
            gamma, beta, mean, variance = (rng.uniform(0.5, 1.5, w.shape) for w in layer.weights)
            layer.set_weights([gamma, beta - 1, mean - 1, variance])
    frames = rng.integers(0, 256, (2, *SIZE, 3)).astype("float32")
    outputs = {name: y.numpy() for name, y in model(frames, training=False).items()}
    return SimpleNamespace(name=request.param, model=model, frames=frames, outputs=outputs)


def test_builder_model_and_file_have_one_name(network):
    assert builder_of(network.name).__module__ == f"asap_tf.models.{network.name}"
    assert network.model.name == network.name


def test_outputs_have_the_size_of_the_frame_and_maps_their_strides(network):
    shapes = {name: y.shape for name, y in network.outputs.items()}
    assert shapes == dict.fromkeys(("logits", "aux3", "aux4"), (2, *SIZE, 5))
    model = network.model
    assert model.aux_outputs.keys() == {"aux3", "aux4"}
    # LDFNet goes down to stride 8 only.
    assert model.backbone_outputs.keys() >= ({4, 8} if network.name == "ldfnet" else {16, 32})
    for maps in filter(None, (model.backbone_outputs, model.pyramid_outputs)):
        shapes = keras.Model(model.input, dict(maps)).compute_output_shape((1, 128, 256, 3))
        assert {s: shape[1:3] for s, shape in shapes.items()} == {
            s: (128 // s, 256 // s) for s in maps
        }


def test_any_size_in_one_graph(network):
    spec = tf.TensorSpec((None, None, None, 3))
    traced = tf.function(network.model.inference_model(), [spec], autograph=False)
    logits = network.outputs["logits"]
    np.testing.assert_allclose(traced(network.frames), logits, atol=1e-4 * abs(logits).max())
    # At stride 64 the first is 1.5 x 2.5, the others half a position high or wide.
    for size in ((96, 160), (32, 64), (64, 32)):
        assert traced(np.zeros((1, *size, 3), "float32")).shape == (1, *size, 5)


def test_saved_model_loads_with_keras(network, tmp_path):
    # Files are opened without the networks' modules: a layer of theirs would be unknown.
    modules = {type(layer).__module__ for layer in network.model.layers}
    assert all(module.startswith(("keras.", "asap_tf.layers.")) for module in modules)
    network.model.save(tmp_path / "model.keras")
    with checked_copy(tmp_path / "model.keras") as copy:
        loaded = keras.models.load_model(copy)
    for name, y in loaded(network.frames, training=False).items():
        np.testing.assert_array_equal(y, network.outputs[name])
    config = loaded.get_config()
    assert config["roles"] == network.model.get_config()["roles"]
    assert loaded.backbone_outputs.keys() == network.model.backbone_outputs.keys()


def test_a_training_step_lowers_the_loss(network):
    model, loss = network.model, OhemCrossEntropy(min_kept=1.0)
    before = model.get_weights()
    labels = np.random.default_rng(1).integers(0, 5, (2, *SIZE))
    with tf.GradientTape() as tape:
        first = sum(loss(labels, y) for y in model(network.frames, training=True).values())
    gradients = tape.gradient(first, model.trainable_variables)
    assert all(np.isfinite(g).all() for g in gradients)
    # As far as the loss would fall by a ten-thousandth if it were linear.
    rate = 0.0001 * first / sum(tf.reduce_sum(g**2) for g in gradients)
    for variable, gradient in zip(model.trainable_variables, gradients, strict=True):
        variable.assign_sub(rate * gradient)
    second = sum(loss(labels, y) for y in model(network.frames, training=True).values())
    model.set_weights(before)
    # Less where the normalization of pooled maps, of two frames alone, bends the loss sharply.
    assert 0.9998 < second / first < 1


@pytest.fixture(scope="module")
def deployment(network):
    return Deployment(network.model, SIZE, batch=2, output="logits")


@pytest.mark.parametrize(
    ("rewrites", "repeat"),
    [(onnx.REWRITES, repeat_by_joining), (litert.REWRITES, repeat_as_bytes)],
    ids=["onnx", "litert"],
)
def test_the_deployed_graph_is_exact(network, deployment, rewrites, repeat):
    graph = deployment.graph(rewrites, repeat)
    logits = network.outputs["logits"]
    result = graph.function(tf.constant(network.frames, tf.uint8))[0]
    np.testing.assert_allclose(result, logits, atol=1e-4 * abs(logits).max())

    operators = graph.function.graph.get_operations()
    inference = network.model.inference_model()
    # Left of BatchNorms are those that follow something else than a convolution.
    left = {layer.name for layer in inference.layers if follows_no_convolution(layer)}
    scopes = {part for op in operators for part in op.name.split("/") if "_bn" in part}
    assert {scope.removesuffix("_1") for scope in scopes} == left
    # For LiteRT frames are taken as 2 x 2 blocks, by both branches of BiSeNetV2, and no mean
    # pooling is left, which XNNPACK has not in int8, nor a ReLU that is no part of something else.
    kinds = collections.Counter(op.type for op in operators)
    if rewrites is litert.REWRITES:
        stems = 2 if network.name == "bisenetv2" else 1
        assert (kinds["SpaceToDepth"], kinds["AvgPool"]) == (stems, 0)
        before = [op.inputs[0] for op in operators if op.type == "Relu"]
        assert {x.op.type for x in before} <= {"AddV2", "BiasAdd", "Conv2D", "MaxPool"}
        assert {len(x.consumers()) for x in before} == {1}
    else:
        assert kinds["SpaceToDepth"] == 0


def test_export(network, deployment, tmp_path):
    """To LiteRT, for which most is rewritten."""
    litert.write(deployment, "fp32", tmp_path / "model.tflite", [], {})
    interpreter = Interpreter(str(tmp_path / "model.tflite"))
    interpreter.allocate_tensors()
    (source,), (result,) = interpreter.get_input_details(), interpreter.get_output_details()
    interpreter.set_tensor(source["index"], network.frames.astype("uint8"))
    interpreter.invoke()
    logits = network.outputs["logits"]
    result = interpreter.get_tensor(result["index"])
    np.testing.assert_allclose(result, logits, atol=1e-4 * abs(logits).max())


@pytest.mark.stress
def test_engine(network, deployment, tmp_path):
    """By NVIDIA's parser and builder, in float16; ASAP's is in the tests of the writer."""
    pytest.importorskip("tensorrt_rtx", reason="its wheels are for Python 3.11 and 3.12")
    metadata = {"compute_capability": ["7.5", "8.9"]}
    tensorrt_rtx.write(deployment, "fp16", tmp_path / "asap_rtx.engine", [], metadata)
    assert metadata["engine"]["blocks"] == 1


def test_every_network_takes_two_steps():
    """In a process of its own: a fault of a kernel ends it."""
    done = subprocess.run([sys.executable, "-c", STEPS], capture_output=True, text=True)
    ends = {-number: number.name for number in signal.Signals}
    last = (done.stdout or done.stderr).splitlines()[-1:]
    assert done.returncode == 0, f"{ends.get(done.returncode, done.stderr[-2000:])} at {last}"


def follows_no_convolution(layer):
    if not isinstance(layer, layers.BatchNormalization):
        return False
    before = layer.input._keras_history.operation
    return not isinstance(before, layers.Conv2D | layers.DepthwiseConv2D)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("asp", {}, "no network 'asp'; did you mean 'asap'?"),
        ("asap", {"backbon": "resnet18"}, "asap has no option 'backbon'; did you mean 'backbone'?"),
        ("stdc1", {"width": 0.5}, "stdc1 has no option 'width'; it has none"),
    ],
)
def test_refuses(name, options, message):
    with pytest.raises(UsageError, match=re.escape(message)):
        create_model(name, **options)
