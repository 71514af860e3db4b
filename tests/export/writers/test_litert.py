from __future__ import annotations

import json
from collections import Counter

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter

from asap_tf.core.errors import AsapError
from asap_tf.core.formats import FORMATS
from asap_tf.export.graph import Deployment
from asap_tf.export.writers import litert
from asap_tf.export.xnnpack_report import xnnpack_report

METADATA = {"format": "litert", "classes": ["ä"]}


@pytest.fixture(scope="module")
def written(model, frames, tmp_path_factory):
    """The files by precision, labels of one frame a call."""
    folder = tmp_path_factory.mktemp("litert")
    deployment = Deployment(model, (64, 128))
    for precision in FORMATS["litert"].precisions:
        litert.write(
            deployment, precision, folder / f"{precision}.tflite", list(frames), {**METADATA}
        )
    return {precision: folder / f"{precision}.tflite" for precision in FORMATS["litert"].precisions}


def run(path, frames):
    runner = Interpreter(str(path)).get_signature_runner("serving_default")
    (name,) = runner.get_output_details()
    return name, runner(frames=frames)[name]


@pytest.mark.parametrize(
    ("precision", "floor"), [("fp32", 0.999), ("fp16", 0.995), ("dynamic", 0.97), ("int8", 0.97)]
)
def test_labels_are_the_models(written, frames, logits, precision, floor):
    results = [run(written[precision], frame[np.newaxis]) for frame in frames]
    assert {name for name, _ in results} == {"labels"}
    labels = np.concatenate([labels for _, labels in results])
    assert labels.dtype == np.uint8
    assert np.mean(labels == logits.argmax(-1)) >= floor


@pytest.mark.parametrize(
    ("precision", "stride"), [("fp32", 2), ("fp32", 4), ("fp32", 8), ("int8", 2)]
)
def test_labels_of_a_stride(model, frames, strided_labels, tmp_path, precision, stride):
    path = tmp_path / "labels.tflite"
    deployment = Deployment(model, (64, 128), label_stride=stride)
    litert.write(deployment, precision, path, list(frames), {})
    labels = np.concatenate([run(path, frame[np.newaxis])[1] for frame in frames])
    assert labels.dtype == np.uint8
    agreement = np.mean(labels == strided_labels(stride))
    assert agreement > (0.999 if precision == "fp32" else 0.97)


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_logits_and_batches(model, frames, logits, tmp_path, precision):
    path = tmp_path / "logits.tflite"
    deployment = Deployment(model, (64, 128), batch=2, output="logits")
    litert.write(deployment, precision, path, list(frames), {})
    name, result = run(path, frames[:2])
    assert (name, result.dtype, result.shape) == ("logits", np.float32, (2, 64, 128, 19))
    if precision == "fp32":
        np.testing.assert_allclose(result, logits[:2], atol=1e-3)
    assert np.mean(result.argmax(-1) == logits[:2].argmax(-1)) > 0.96


def test_files_hold_what_their_precision_says(written):
    sizes = {precision: path.stat().st_size for precision, path in written.items()}
    assert sizes["fp16"] < 0.52 * sizes["fp32"]
    assert max(sizes["int8"], sizes["dynamic"]) < 0.3 * sizes["fp32"]


def test_int8_is_one_partition_of_integers(written):
    found = xnnpack_report(written["int8"])
    assert found.partitions == 1
    assert set(found.outside) == {"CAST", "ARG_MAX"}
    assert not {"CONV_2D", "DEPTHWISE_CONV_2D", "RESIZE_BILINEAR", "PAD"} & set(found.float32)
    assert {"RSQRT", "SQUARED_DIFFERENCE", "SOFTMAX", "BATCH_MATMUL"} <= set(found.float32)
    assert str(found).startswith("1 XNNPACK partition; outside: 1 ARG_MAX")


@pytest.mark.parametrize("precision", FORMATS["litert"].precisions)
def test_builtin_operators_only(written, precision):
    model = schema.Model.GetRootAs(written[precision].read_bytes())
    codes = [model.OperatorCodes(i) for i in range(model.OperatorCodesLength())]
    assert all(code.CustomCode() is None for code in codes)
    kinds = Counter(max(code.BuiltinCode(), code.DeprecatedBuiltinCode()) for code in codes)
    assert schema.BuiltinOperator.CUSTOM not in kinds


@pytest.mark.parametrize("precision", FORMATS["litert"].precisions)
def test_metadata_is_within(written, precision):
    model = schema.Model.GetRootAs(written[precision].read_bytes())
    entries = {}
    for i in range(model.MetadataLength()):
        entry = model.Metadata(i)
        entries[entry.Name()] = model.Buffers(entry.Buffer()).DataAsNumpy()
    assert json.loads(bytes(entries[b"asap_tf.json"])) == METADATA


def test_a_failing_converter_is_one_line(model, tmp_path, monkeypatch):
    import tensorflow as tf

    def fail(functions):
        raise ValueError("no\nsuch luck")

    monkeypatch.setattr(tf.lite.TFLiteConverter, "from_concrete_functions", fail)
    with pytest.raises(AsapError, match=r"^TensorFlow cannot convert the graph: no$"):
        litert.write(Deployment(model, (64, 128)), "fp32", tmp_path / "a.tflite", [], {})
    assert not list(tmp_path.iterdir())
