"""Folders for model servers, read by the servers' own protobuf definitions."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from google.protobuf import text_format

from asap_tf import load
from asap_tf.core.errors import UsageError
from asap_tf.export.exporter import export
from asap_tf.export.layouts import model_config, server_folder
from asap_tf.saving import read_sidecar

triton = pytest.importorskip("tritonclient.grpc.model_config_pb2")
TYPES = {
    onnx.TensorProto.UINT8: triton.DataType.TYPE_UINT8,
    onnx.TensorProto.FLOAT: triton.DataType.TYPE_FP32,
}


def config_of(home) -> triton.ModelConfig:
    return text_format.Parse((home / "config.pbtxt").read_text(), triton.ModelConfig())


@pytest.mark.parametrize("output", ["labels", "logits"])
def test_triton_is_told_what_the_file_takes_and_gives(
    trained_model, streets_root, tmp_path, frames, output
):
    out = tmp_path / "models"
    precisions = ["fp32", "fp16"] if output == "labels" else ["fp32"]
    package = server_folder("triton", [], precisions)
    artifacts = export(
        trained_model, out, [], batch=2, output=output, calibration=streets_root, package=package
    )
    homes = [out / f"asap_{precision}" for precision in precisions]
    assert [artifact.path for artifact in artifacts] == [home / "1/model.onnx" for home in homes]
    assert sorted(out.iterdir()) == sorted(homes)
    for home in homes:
        config = config_of(home)
        assert (config.name, config.platform) == (home.name, "onnxruntime_onnx")
        file = home / "1" / config.default_model_filename
        graph = onnx.load(file).graph
        for told, found in ((config.input, graph.input), (config.output, graph.output)):
            assert [(tensor.name, tensor.data_type, list(tensor.dims)) for tensor in told] == [
                (
                    value.name,
                    TYPES[value.type.tensor_type.elem_type],
                    [length.dim_value for length in value.type.tensor_type.shape.dim],
                )
                for value in found
            ]
        # Dimensions have the batch: to Triton it is none.
        assert config.max_batch_size == 0
        assert read_sidecar(file)[1]
        assert np.mean(load(file).predict(frames) == load(trained_model).predict(frames)) > 0.995


@pytest.mark.parametrize(
    ("output", "kind", "lengths"),
    [
        ("labels", "TYPE_UINT8", [2, 64, 128]),
        ("labels+confidence", "TYPE_UINT8", [2, 2, 64, 128]),
        ("logits", "TYPE_FP32", [2, 64, 128, 19]),
    ],
)
def test_engines_are_plans_of_tensorrt(tmp_path, output, kind, lengths):
    metadata = {"batch": 2, "size": (64, 128), "output": output, "classes": [{}] * 19}
    text = model_config("asap_fp16", tmp_path / "model.engine", metadata)
    config = text_format.Parse(text, triton.ModelConfig())
    assert (config.platform, config.default_model_filename) == ("tensorrt_plan", "model.engine")
    (given,) = config.output
    assert (given.name, given.data_type) == (output, triton.DataType.Value(kind))
    assert list(given.dims) == lengths


@pytest.mark.parametrize("flags", [["tflite"], ["onnx", "trt"], ["saved-model"]])
def test_other_formats_are_refused(flags):
    with pytest.raises(UsageError, match="--onnx or --trt"):
        server_folder("triton", flags, ["fp32"])


def test_tensorflow_serving_finds_a_version_with_a_signature(
    trained_model, streets_root, tmp_path, frames
):
    tf = pytest.importorskip("tensorflow")
    apis = pytest.importorskip("tensorflow_serving.apis.predict_pb2")
    out = tmp_path / "models"
    package = server_folder("tf-serving", [], ["fp32"])
    (artifact,) = export(trained_model, out, [], batch=2, calibration=streets_root, package=package)
    assert artifact.path == out / "asap_fp32/1"
    # What a client sends and a server hands to the model, and back.
    request = apis.PredictRequest()
    request.model_spec.name, request.model_spec.version.value = "asap_fp32", 1
    request.model_spec.signature_name = "serving_default"
    request.inputs["frames"].CopyFrom(tf.make_tensor_proto(frames[:2]))
    received = apis.PredictRequest.FromString(request.SerializeToString())
    place = out / received.model_spec.name / str(received.model_spec.version.value)
    serve = tf.saved_model.load(str(place)).signatures[received.model_spec.signature_name]
    given = serve(**{k: tf.constant(tf.make_ndarray(v)) for k, v in received.inputs.items()})
    labels = given["labels"].numpy()
    assert np.mean(labels == load(trained_model).predict(frames[:2])) > 0.999
    np.testing.assert_array_equal(load(place).predict(frames[:2]), labels)
