"""Folders as model servers read them: Triton's model repository, and TensorFlow Serving's."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from asap_tf.core.errors import UsageError
from asap_tf.core.formats import Format
from asap_tf.export.gpu_probe import tensorrt_choice
from asap_tf.export.package import Contents, Package

LAYOUTS = {
    "triton": {"onnx": "onnx", "trt": "tensorrt"},
    "tf-serving": {"saved-model": "saved_model"},
}
"""Formats of a server's models, by their option of `asap-tf export`; the first by default."""

_PLATFORMS = {"onnx": "onnxruntime_onnx", "tensorrt": "tensorrt_plan"}

_CONFIG = """\
name: "{name}"
platform: "{platform}"
default_model_filename: "{file}"
max_batch_size: 0
input [ {{ name: "frames" data_type: TYPE_UINT8 dims: {frames} }} ]
output [ {{ name: "{output}" data_type: {data_type} dims: {result} }} ]
"""


def server_folder(layout: str, flags: Sequence[str], precisions: Sequence[str]) -> Package:
    """A folder for a server, with a model in version 1 for each precision.

    Args:
        layout: Key of `LAYOUTS`.
        flags: Option of the format; none takes the layout's first.
        precisions: Precisions of the models.

    Raises:
        UsageError: for a format that the server does not take, or several.
        AsapError: if TensorRT is to build an engine, and cannot.
    """
    formats = LAYOUTS[layout]
    chosen = list(flags) or list(formats)[:1]
    if len(chosen) > 1 or chosen[0] not in formats:
        raise UsageError(f"`layout` {layout} takes one format: --{' or --'.join(formats)}")
    if chosen == ["trt"]:
        tensorrt_choice("tensorrt")
    hint = "not yet run in a server"
    return Package(formats[chosen[0]], tuple(precisions), complete, hint, file_name=version)


def version(row: Format, precision: str) -> str:
    """Where a model's first version is: a SavedModel is a folder, others lie in one."""
    folder = f"asap_{precision}/1"
    return folder if row.name == "saved_model" else f"{folder}/model{row.ending}"


def complete(contents: Contents) -> None:
    """Writes the `config.pbtxt` of every model that is not a SavedModel, which needs none."""
    for path in filter(Path.is_file, contents.artifacts.values()):
        home = path.parents[1]
        text = model_config(home.name, path, contents.metadata)
        (home / "config.pbtxt").write_text(text, encoding="utf-8")


def model_config(name: str, path: Path, metadata: dict[str, Any]) -> str:
    """Triton's configuration of a model, whose batch is fixed: its dimensions have it.

    Args:
        name: Of the model.
        path: Its file.
        metadata: Metadata of an export.
    """
    batch, output = metadata["batch"], metadata["output"]
    height, width = metadata["size"]
    result = {
        "labels": [batch, height, width],
        "labels+confidence": [batch, 2, height, width],
        "logits": [batch, height, width, len(metadata["classes"])],
    }
    return _CONFIG.format(
        name=name,
        platform=_PLATFORMS["tensorrt" if path.suffix == ".engine" else "onnx"],
        file=path.name,
        frames=[batch, height, width, 3],
        output=output,
        data_type="TYPE_FP32" if output == "logits" else "TYPE_UINT8",
        result=result[output],
    )
