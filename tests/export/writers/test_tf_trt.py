from __future__ import annotations

import json
import shutil
from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorflow.python.compiler.tensorrt import trt_convert

from asap_tf.core.errors import AsapError
from asap_tf.export.graph import Deployment
from asap_tf.export.writers import tf_trt
from asap_tf.layers.resize import Upsample


@pytest.mark.parametrize("batch", [1, 2])
def test_the_rewritten_network_is_the_models(model, frames, logits, batch):
    graph = Deployment(model, (64, 128), batch, "logits").graph(tf_trt.REWRITES)
    result = graph.function(tf.constant(frames[:batch]))[0]
    np.testing.assert_allclose(result, logits[:batch], atol=1e-4)
    kinds = {operation.type for operation in graph.function.graph.get_operations()}
    assert "ResizeBilinear" not in kinds


class Converter:
    """What `TrtGraphConverterV2` does, but for the engines: it runs the SavedModel it is given."""

    kinds = ("Placeholder", "Const", "TRTEngineOp", "Cast")

    def __init__(self, input_saved_model_dir, **options):
        self.folder = input_saved_model_dir
        self.function = tf.saved_model.load(self.folder).signatures["serving_default"]
        self.calls = Converter.calls = [("options", options)]

    def _run(self, step, input_fn):
        outputs = [self.function(**inputs)["labels"].numpy() for inputs in input_fn()]
        self.calls.append((step, np.concatenate(outputs)))

    def convert(self, calibration_input_fn=None):
        self.precise = tf.config.experimental.tensor_float_32_execution_enabled()
        self.calls.append(("TF32", self.precise))
        if calibration_input_fn:
            self._run("calibrate", calibration_input_fn)
        nodes = [SimpleNamespace(op=kind) for kind in self.kinds]
        graph = SimpleNamespace(as_graph_def=lambda: SimpleNamespace(node=nodes))
        return SimpleNamespace(graph=graph)

    def build(self, input_fn):
        self._run("build", input_fn)

    def save(self, output_saved_model_dir):
        shutil.copytree(self.folder, output_saved_model_dir)


@pytest.fixture(scope="module")
def small():
    """A model with one upsampling."""
    inputs = keras.Input((64, 128, 3), name="frames")
    x = keras.layers.Conv2D(5, 8, strides=8)(inputs)
    return keras.Model(inputs, Upsample(8, name="logits")(x))


@pytest.fixture
def converted(small, frames, tmp_path, monkeypatch):
    def convert(precision, count):
        monkeypatch.setattr(trt_convert, "TrtGraphConverterV2", Converter)
        deployment = Deployment(small, (64, 128), batch=2)
        metadata = {"format": "tf_trt"}
        tf_trt.write(deployment, precision, tmp_path / "trt", list(frames[:count]), metadata)
        assert json.loads((tmp_path / "trt" / "asap_tf.json").read_text()) == metadata
        assert metadata["note"] == "1 TensorRT engine; left to TensorFlow: Cast"
        return dict(Converter.calls)

    return convert


def test_int8_is_calibrated_on_whole_batches(converted, small, frames):
    calls = converted("int8", 5)
    assert calls["options"] == {
        "precision_mode": "INT8",
        "use_calibration": True,
        "use_dynamic_shape": True,
        "dynamic_shape_profile_strategy": "Optimal",
    }
    filled = frames[[0, 1, 2, 3, 4, 0]]
    expected = np.argmax(small(filled.astype("float32")), -1)
    assert np.mean(calls["calibrate"] == expected) > 0.999
    assert calls["TF32"]


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_engines_are_built_for_the_batch(converted, precision):
    before = tf.config.experimental.tensor_float_32_execution_enabled()
    calls = converted(precision, 0)
    assert calls["options"]["precision_mode"] == precision.upper()
    assert "calibrate" not in calls
    assert calls["build"].shape == (2, 64, 128)
    assert calls["TF32"] == (precision == "fp16")
    assert tf.config.experimental.tensor_float_32_execution_enabled() == before


def test_a_conversion_that_made_no_engine(converted, monkeypatch):
    monkeypatch.setattr(Converter, "kinds", ("Placeholder", "Cast"))
    with pytest.raises(AsapError, match="nothing in the graph that TensorRT takes"):
        converted("fp32", 0)


def test_without_tf_trt(small, tmp_path):
    if tf.config.list_physical_devices("GPU"):
        pytest.skip("there may be a TF-TRT here")
    deployment = Deployment(small, (64, 128))
    with pytest.raises(AsapError, match="TF-TRT cannot convert the graph: .*TensorRT support"):
        tf_trt.write(deployment, "fp16", tmp_path / "trt", [], {})
    assert not list(tmp_path.iterdir())
