"""The formats of models, one row each, for the loader, the exporter, the command line and the docs.

To add a format, add a row here, a writer (see `asap_tf.export.writers`) and a network (see
`asap_tf.runtime.network`). Both are named here and imported where they are needed.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from types import ModuleType

from asap_tf.core.optional import require

FLOORS = {"fp32": 0.999, "fp16": 0.995, "int8": 0.97, "dynamic": 0.97}
"""Share of labels, by precision, in which an export has to equal its Keras model."""

ANNOTATIONS = {
    name: f"asap_tf.data.annotations.{name.replace('-', '_')}"
    for name in ("coco", "labelme", "cvat", "voc", "cityscapes-polygons")
}
"""Modules that read what annotation tools write, by the names of these formats."""


@dataclass(frozen=True, kw_only=True)
class Format:
    """A format of model files.

    Attributes:
        name: Key of the format in `FORMATS`, in metadata and in arguments.
        label: Name for people.
        ending: Suffix of the files, or end of the folders' names.
        network: Class that runs the format, `"module:Class"`.
        writer: Module that exports to the format; empty if there is none.
        flag: Option of `asap-tf export` that asks for the format; empty if there is none.
        precisions: Keys of `FLOORS` in which the format is exported.
        modules: Modules that exporting needs besides TensorFlow.
        extra: Extra in `setup.cfg` that installs them.
        companion: Suffix of a second file that belongs to each file; empty if there is none.
    """

    name: str
    label: str
    ending: str
    network: str
    writer: str = ""
    flag: str = ""
    precisions: tuple[str, ...] = ("fp32", "fp16", "int8")
    modules: tuple[str, ...] = ()
    extra: str = ""
    companion: str = ""

    def file_name(self, precision: str) -> str:
        """Name of the file or folder of an export.

        Examples:
            >>> FORMATS["litert"].file_name("int8")
            'asap_int8.tflite'
        """
        return f"asap_{precision}{self.ending}"

    def load_writer(self) -> ModuleType:
        """The module that writes the format; all that it needs is imported first.

        Raises:
            AsapError: if a package is missing, with the command that installs it.
        """
        for module in self.modules:
            require(module, self.extra)
        return importlib.import_module(self.writer)


_ROWS = (
    Format(
        name="keras",
        label="Keras",
        ending=".keras",
        network="asap_tf.runtime.keras_network:KerasNetwork",
        precisions=(),
    ),
    Format(
        name="saved_model",
        label="SavedModel",
        ending="_saved_model",
        network="asap_tf.runtime.saved_model_network:SavedModelNetwork",
        writer="asap_tf.export.writers.saved_model",
        flag="saved-model",
        precisions=("fp32",),
    ),
    Format(
        name="litert",
        label="LiteRT",
        ending=".tflite",
        network="asap_tf.runtime.litert_network:LiteRTNetwork",
        writer="asap_tf.export.writers.litert",
        flag="tflite",
        precisions=("fp32", "fp16", "int8", "dynamic"),
        modules=("ai_edge_litert",),
        extra="litert",
    ),
    Format(
        name="onnx",
        label="ONNX",
        ending=".onnx",
        network="asap_tf.runtime.onnx_network:ONNXNetwork",
        writer="asap_tf.export.writers.onnx",
        flag="onnx",
        modules=("onnx", "tf2onnx", "onnxruntime"),
        extra="onnx",
    ),
    Format(
        name="openvino",
        label="OpenVINO",
        ending=".xml",
        network="asap_tf.runtime.openvino_network:OpenVINONetwork",
        writer="asap_tf.export.writers.openvino",
        flag="openvino",
        modules=("onnx", "tf2onnx", "onnxruntime", "openvino", "nncf"),
        extra="openvino",
        companion=".bin",
    ),
    Format(
        name="tf_trt",
        label="TF-TRT",
        ending="_tf_trt",
        network="asap_tf.runtime.saved_model_network:SavedModelNetwork",
        writer="asap_tf.export.writers.tf_trt",
        flag="trt",
    ),
    Format(
        name="tensorrt",
        label="TensorRT",
        ending=".engine",
        network="asap_tf.runtime.tensorrt_network:TensorRTNetwork",
        writer="asap_tf.export.writers.tensorrt",
        flag="trt",
        modules=("onnx", "tf2onnx", "onnxruntime"),
        extra="onnx",
    ),
    # Its files are told from TensorRT's own by what is in them: one network opens both.
    Format(
        name="tensorrt_rtx",
        label="TensorRT for RTX",
        ending="_rtx.engine",
        network="asap_tf.runtime.tensorrt_network:TensorRTNetwork",
        writer="asap_tf.export.writers.tensorrt_rtx",
        flag="trt",
        modules=("onnx", "tf2onnx", "onnxruntime", "tensorrt_rtx"),
        extra="trt",
    ),
    # Not asked for by itself: bundles are made of it.
    Format(
        name="tensorrt_onnx",
        label="ONNX for TensorRT",
        ending="_tensorrt.onnx",
        network="asap_tf.runtime.onnx_network:ONNXNetwork",
        writer="asap_tf.export.writers.tensorrt_onnx",
        modules=("onnx", "tf2onnx", "onnxruntime"),
        extra="onnx",
    ),
)

FORMATS = {row.name: row for row in _ROWS}
"""All formats, by name."""

FLAGS = {row.flag: [r for r in _ROWS if r.flag == row.flag] for row in _ROWS if row.flag}
"""Formats that can be asked for, by their option of `asap-tf export`."""

SUFFIXES = {row.ending: row.name for row in _ROWS if row.ending.startswith(".")}
"""Names of the formats whose models are files, by suffix."""

TRT_ENGINES = {"tf-trt": "tf_trt", "tensorrt": "tensorrt", "rtx": "tensorrt_rtx"}
"""Formats of engines for NVIDIA's GPUs by their short names, the first choice first."""
