"""Opens a model of any format."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

from asap_tf.core.errors import AsapError, UsageError, first_line
from asap_tf.core.formats import FORMATS, SUFFIXES
from asap_tf.core.keras_backend import import_keras
from asap_tf.core.labels import numbered_classes
from asap_tf.runtime.network import Network
from asap_tf.runtime.probe import probe
from asap_tf.runtime.segmenter import Segmenter
from asap_tf.saving import classes_of, is_own, locate, model_file, preset_files, read_sidecar


def load(path: str | Path, threads: int | None = None, trust: bool = False) -> Segmenter:
    """Opens a trained or exported model.

    An exported file is compared with the checksums beside it, and opened in a process of its own
    first, unless this one has exported it: a file of somebody else's cannot crash this process.

    Args:
        path: Preset's name, run folder, `.keras` file, or an export in any format of
            `asap_tf.core.formats`: `asap_int8.tflite`, `asap_fp32.xml`, a SavedModel's folder; or
            `hf://USER/NAME/FILE` on the Hugging Face Hub, see `asap_tf.saving.locate`.
        threads: Processor threads, at least 1; None for all cores. TensorFlow, which runs Keras
            models and SavedModels, takes them for the whole process and only before it has run
            anything.
        trust: Whether to open a SavedModel whatever operators it has. It is a program, which then
            may read, write and send your files; say so only if you know who made it.

    Returns:
        The network with its classes, palette and input size.

    Raises:
        UsageError: if there is nothing of that kind at `path`.
        AsapError: if the file is damaged or no segmentation network, or its runtime is not
            installed.

    Examples:
        >>> asap_tf.load("runs/camvid").classes[0].name
        'sky'
        >>> labels = asap_tf.load("export/asap_int8.tflite", threads=2).predict(frames)
    """
    if threads is not None and threads < 1:
        raise UsageError(f"threads={threads}: at least 1 is needed, or None for all cores")
    path = locate(path)
    kind = format_of(path)
    metadata: dict[str, Any] = {}
    if kind == "keras":
        # The archive's own checksums vouch for it.
        path = model_file(path)
    else:
        metadata, _ = read_sidecar(path)
        if not is_own(path):
            probe(path, trust=trust)
    network = open_network(path, kind, threads, trust)
    metadata = metadata or network.metadata
    classes = classes_of(metadata) or numbered_classes(network.num_classes or 256)
    size = metadata.get("size")
    return Segmenter(network, classes, tuple(size) if isinstance(size, list) else size, metadata)


def format_of(path: str | Path) -> str:
    """The format of the model at a path, by its name: a key of `asap_tf.core.formats.FORMATS`.

    Raises:
        UsageError: if there is nothing there, or no model.

    Examples:
        >>> format_of("export/asap_int8.tflite")
        'litert'
    """
    path = locate(path)
    if path.is_dir():
        return "saved_model" if (path / "saved_model.pb").exists() else "keras"
    wanted = (
        f"a run folder, a SavedModel's folder, a {', '.join(SUFFIXES)} file, or a preset "
        f"({', '.join(preset_files())})"
    )
    if not path.exists():
        raise UsageError(f"{path}: no such model; give {wanted}")
    if path.suffix not in SUFFIXES:
        raise UsageError(f"{path}: not a model; give {wanted}")
    return SUFFIXES[path.suffix]


def open_network(path: Path, kind: str, threads: int | None = None, trust: bool = False) -> Network:
    """Opens an artifact in this process, even one that may be damaged.

    Args:
        path: File, or folder of a SavedModel.
        kind: Format, a key of `asap_tf.core.formats.FORMATS`.
        threads: As of `load`.
        trust: As of `load`.

    Raises:
        AsapError: if it cannot be opened.
    """
    module, name = FORMATS[kind].network.split(":")
    if kind == "keras":
        import_keras()
    try:
        options = {"trust": trust} if kind == "saved_model" else {}
        return getattr(importlib.import_module(module), name).open(path, threads, **options)
    except AsapError:
        raise
    except Exception as error:
        raise AsapError(
            f"{path}: damaged or another kind of file, cannot be opened as {kind}: "
            f"{first_line(error)}"
        ) from error
