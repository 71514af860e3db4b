from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from asap_tf.saving import artifact_files, sidecar, write_sidecar

SIZE = (64, 96)
CLASSES = [
    {"name": f"c{i}", "color": [10 * i, 0, 255], "category": "things", "label_id": i}
    for i in range(5)
]
METADATA = {"classes": CLASSES, "precision": "fp32"}
EMBEDDED = json.dumps(METADATA)


@pytest.fixture(scope="session")
def tiny():
    """A network of a few weights, with what matters to converters: BatchNorm and a resize."""
    import keras
    from keras import layers

    keras.utils.set_random_seed(6)
    frames = keras.Input((None, None, 3), name="frames")
    x = layers.Rescaling(1 / 64, -2)(frames)
    x = layers.Conv2D(8, 5, strides=2, padding="same")(x)
    x = layers.ReLU()(layers.BatchNormalization()(x))
    x = layers.Conv2D(5, 3, padding="same", use_bias=False)(x)
    return keras.Model(frames, layers.UpSampling2D(2, interpolation="bilinear", name="logits")(x))


@pytest.fixture(scope="session")
def exported(tiny, tmp_path_factory) -> Path:
    """A folder of `tiny` of size 64 x 96, by the converters themselves, with metadata beside.

    `labels` has a batch of 1, `logits` of 2; the classes are embedded in all but SavedModels.
    """
    import onnx
    import openvino
    import tensorflow as tf
    import tf2onnx

    from asap_tf.export.graph import Deployment

    folder = tmp_path_factory.mktemp("exported")
    for output, batch in (("labels", 1), ("logits", 2)):
        function = Deployment(tiny, SIZE, batch, output).graph().function
        converter = tf.lite.TFLiteConverter.from_concrete_functions([function])
        (folder / f"{output}.tflite").write_bytes(with_metadata(converter.convert()))

        module = tf.Module()
        module.serve = function
        tf.saved_model.save(module, folder / output, signatures={"serving_default": function})

        def call(frames, function=function):
            return function(frames)[0]

        spec = tf.TensorSpec((batch, *SIZE, 3), tf.uint8, "frames")
        model, _ = tf2onnx.convert.from_function(tf.function(call), [spec], opset=17)
        onnx.helper.set_model_props(model, {"asap_tf": EMBEDDED})
        onnx.save(model, folder / f"{output}.onnx")
        model = openvino.convert_model(folder / f"{output}.onnx")
        model.set_rt_info(EMBEDDED, ["asap_tf"])
        openvino.save_model(model, folder / f"{output}.xml", compress_to_fp16=False)
    for path in folder.iterdir():
        if path.suffix != ".bin":
            write_sidecar(path, {**METADATA, "parameters": 123})
    return folder


def with_metadata(content: bytes) -> bytes:
    """A `.tflite` file with the metadata in a buffer of its own."""
    import numpy as np
    from tensorflow.lite.python import schema_py_generated as schema
    from tensorflow.lite.tools import flatbuffer_utils

    model = flatbuffer_utils.convert_bytearray_to_object(bytearray(content))
    entry, buffer = schema.MetadataT(), schema.BufferT()
    entry.name, entry.buffer = "asap_tf.json", len(model.buffers)
    buffer.data = np.frombuffer(EMBEDDED.encode(), np.uint8)
    model.metadata = [*(model.metadata or []), entry]
    model.buffers.append(buffer)
    return bytes(flatbuffer_utils.convert_object_to_bytearray(model))


@pytest.fixture
def copied(exported, tmp_path):
    """Copies one artifact of `exported`, by its name, into the test's own folder."""

    def copy(name: str, described: bool = True) -> Path:
        source, target = exported / name, tmp_path / name
        if source.is_dir():
            shutil.copytree(source, target)
        else:
            for file in (*artifact_files(source), sidecar(source)):
                shutil.copy(file, tmp_path)
        if not described:
            sidecar(target).unlink()
        return target

    return copy
