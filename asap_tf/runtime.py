"""Any model as one thing: frames in, label maps out."""

from __future__ import annotations

import json
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import cv2
import keras
import numpy as np
from keras import ops

from asap_tf.data.dataset import LabelClass
from asap_tf.errors import AsapError, UsageError, first_line
from asap_tf.files import written_whole
from asap_tf.sizes import network_side

METADATA_NAME = "asap_tf.json"


class Segmenter:
    """A network ready to label frames.

    Attributes:
        classes: In the order of their train ids.
        size: `(H, W)` that frames are brought to for the network; None runs every frame at its
            own size, rounded to multiples of 32.
        metadata: What was written beside the weights: recipe, versions, scores.
    """

    def __init__(
        self,
        model: keras.Model,
        classes: Sequence[LabelClass],
        size: tuple[int, int] | None = None,
        metadata: dict[str, Any] | None = None,
    ):
        if len(classes) != model.output_shape[-1]:
            raise UsageError(
                f"the model tells {model.output_shape[-1]} classes apart, but {len(classes)} "
                "are named"
            )
        self.model = model
        self.classes = tuple(classes)
        self.size = size
        self.metadata = metadata or {}
        self._label_maps = compiled(self._label_maps_eager)
        self._probabilities = compiled(self._probabilities_eager)

    @property
    def palette(self) -> np.ndarray:
        """Colours by train id, uint8 `(num_classes, 3)`, RGB."""
        return np.array([c.color for c in self.classes], np.uint8)

    def predict(self, frames: np.ndarray) -> np.ndarray:
        """Labels every pixel.

        Args:
            frames: RGB, uint8 `(N, H, W, 3)`, any H and W.

        Returns:
            Train ids, uint8 `(N, H, W)`, at the frames' own size.

        Raises:
            UsageError: if the frames have another shape or type.

        Example:
            >>> labels = asap_tf.load("runs/camvid").predict(frames)
        """
        inputs = self._inputs(frames, self.size)
        return np.asarray(self._label_maps(inputs, *frames.shape[1:3]))

    def probabilities(self, frames: np.ndarray, size: tuple[int, int] | None = None) -> np.ndarray:
        """Class probabilities, for averaging over scales and flips.

        Args:
            frames: RGB, uint8 `(N, H, W, 3)`.
            size: `(H, W)`, multiples of 32, to run the network at instead of `self.size`.

        Returns:
            Softmax, float32 `(N, H, W, num_classes)`, at the frames' own size.

        Raises:
            UsageError: if the frames have another shape or type.
        """
        inputs = self._inputs(frames, size or self.size)
        return np.asarray(self._probabilities(inputs, *frames.shape[1:3]))

    def _inputs(self, frames: np.ndarray, size: tuple[int, int] | None) -> Any:
        frames = np.asarray(frames)
        if frames.ndim != 4 or frames.shape[-1] != 3 or frames.dtype != np.uint8:
            raise UsageError(
                "frames must be uint8 RGB of shape (N, H, W, 3). "
                f"Received: {frames.dtype} {frames.shape}"
            )
        height, width = size or map(network_side, frames.shape[1:3])
        if (height, width) != frames.shape[1:3]:
            frames = np.stack([cv2.resize(f, (width, height)) for f in frames])
        return ops.convert_to_tensor(frames, "float32")

    def _logits(self, inputs: Any, height: Any, width: Any) -> Any:
        logits = self.model(inputs, training=False)
        if logits.shape[1:3] == (height, width):
            return logits
        return ops.image.resize(logits, (height, width), interpolation="bilinear")

    def _label_maps_eager(self, inputs: Any, height: Any, width: Any) -> Any:
        return ops.cast(ops.argmax(self._logits(inputs, height, width), axis=-1), "uint8")

    def _probabilities_eager(self, inputs: Any, height: Any, width: Any) -> Any:
        return ops.softmax(self._logits(inputs, height, width), axis=-1)


def compiled(function: Any) -> Any:
    """`function` as a TensorFlow graph where TensorFlow runs the show, unchanged elsewhere."""
    if keras.backend.backend() != "tensorflow":
        return function
    import tensorflow as tf

    return tf.function(function, autograph=False, reduce_retracing=True)


def load(path: str | Path) -> Segmenter:
    """Opens a trained model.

    Args:
        path: A run folder or a `.keras` file.

    Returns:
        The network with its classes, palette and input size.

    Raises:
        UsageError: if there is nothing of that kind at `path`.
        AsapError: if the file is damaged or no segmentation network.

    Example:
        >>> asap_tf.load("runs/camvid").classes[0].name
        'sky'
    """
    file = model_file(path)
    model = load_keras_model(file)
    if isinstance(model.output, dict):
        model = keras.Model(model.inputs, model.get_layer("logits").output, name=model.name)
    if len(model.output_shape) != 4 or model.input_shape[-1] != 3:
        raise AsapError(
            f"{file}: not a segmentation network: it maps {model.input_shape} to "
            f"{model.output_shape}, wanted (N, H, W, 3) to (N, H, W, classes)"
        )
    metadata = read_metadata(file)
    classes = [
        LabelClass(c["name"], (*c["color"],), c["category"], c["label_id"])
        for c in metadata.get("classes", [])
    ] or numbered_classes(model.output_shape[-1])
    fixed = model.input_shape[1:3]
    size = tuple(fixed) if None not in fixed else metadata.get("size")
    return Segmenter(model, classes, size and (size[0], size[1]), metadata)


def model_file(path: str | Path) -> Path:
    """The `.keras` file that a run folder or a file's path stands for.

    Raises:
        UsageError: if there is none.
    """
    path = Path(path)
    if path.is_dir():
        file = path / "model.keras"
        if not file.exists():
            raise UsageError(
                f"{path}: no model.keras in it; a run folder gets one at its first validation"
            )
        return file
    if not path.exists():
        raise UsageError(f"{path}: no such model; give a run folder or a .keras file")
    if path.suffix != ".keras":
        raise UsageError(f"{path}: not a model; give a run folder or a .keras file")
    return path


def load_keras_model(path: str | Path) -> keras.Model:
    """Opens the Keras model of a run folder or `.keras` file; nothing in the file is ever run.

    Raises:
        UsageError: if there is no such file.
        AsapError: if it is damaged or of a foreign kind.
    """
    import asap_tf.layers  # noqa: F401  (registers what the file refers to)

    file = model_file(path)
    if not zipfile.is_zipfile(file):
        # Keras calls a file that was cut short "not found".
        raise AsapError(
            f"{file}: cannot be opened as a Keras model: damaged or another kind of file"
        )
    try:
        model = keras.models.load_model(file, compile=False, safe_mode=True)
        if not isinstance(model, keras.Model):
            raise TypeError(f"holds a {type(model).__name__}")
        return model
    except Exception as error:
        raise AsapError(
            f"{file}: cannot be opened as a Keras model: {first_line(error)}"
        ) from error


def save_model(
    model: keras.Model,
    path: Path,
    classes: Sequence[LabelClass],
    size: tuple[int, int] | None,
    **metadata: Any,
) -> None:
    """Writes a `.keras` file that carries its classes, palette and input size.

    The metadata is one more member of the archive, `asap_tf.json`, which Keras passes over. The
    file appears whole or not at all.

    Args:
        model: Functional model from frames to logits.
        path: Ends in `.keras`.
        classes: In the order of their train ids.
        size: `(H, W)` the network is to run at, or None for the frame's own.
        **metadata: More entries, as JSON can hold them.
    """
    entries = {
        "classes": [asdict(c) for c in classes],
        "size": size,
        "input": "RGB frames 0..255, NHWC; normalised inside",
        "versions": {name: version(name) for name in ("asap-tf", "keras", "tensorflow")},
        **metadata,
    }
    with written_whole(path) as aside:
        model.save(aside)
        with zipfile.ZipFile(aside, "a") as archive:
            archive.writestr(METADATA_NAME, json.dumps(entries, indent=1))


def read_metadata(file: Path) -> dict[str, Any]:
    """What `save_model` wrote beside the weights; empty for a file saved by Keras alone.

    Raises:
        AsapError: if it is damaged.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            if METADATA_NAME not in archive.namelist():
                return {}
            return json.loads(archive.read(METADATA_NAME))
    except (ValueError, zipfile.BadZipFile, zlib.error) as error:
        raise AsapError(f"{file}: {METADATA_NAME} in it is damaged ({error})") from error


def numbered_classes(count: int) -> list[LabelClass]:
    """Stand-ins for a model that does not say what its classes are."""
    hues = np.arange(count) * 0.618034 % 1 * 179
    hsv = np.stack([hues, np.full(count, 200), np.full(count, 230)], -1).astype(np.uint8)
    colors = cv2.cvtColor(hsv[None], cv2.COLOR_HSV2RGB)[0]
    return [
        LabelClass(f"class {i}", (int(red), int(green), int(blue)), "unknown", i)
        for i, (red, green, blue) in enumerate(colors)
    ]
