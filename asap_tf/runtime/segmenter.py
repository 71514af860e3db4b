"""A network with its classes, palette and input size: frames in, label maps out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from asap_tf.core.errors import AsapError, UsageError
from asap_tf.core.labels import IGNORE_LABEL, LabelClass, palette
from asap_tf.core.resize import resize_frames, resized_parts
from asap_tf.core.sizes import (
    STRIDE,
    Size,
    network_side,
    require_size,
    size_of_frame,
    size_without_frame,
)
from asap_tf.runtime.network import Network
from asap_tf.runtime.tiles import tiled_logits


class Segmenter:
    """A network ready to label frames.

    Attributes:
        network: Network that labels, in some runtime.
        classes: Classes in the order of their train ids.
        size: `(H, W)` that frames are brought to for the network; or the length of their longer
            side, with their aspect kept; None runs every frame at its own size. These two are
            rounded to multiples of 32; a height and width that are none are padded. May be set,
            unless the network was exported, for one size.
        tile: `(N, M)` to run large frames in tiles of N x N pixels that overlap by M, their logits
            blended; None, as at first, runs whole frames. Tiles are cut from frames at their own
            size, or at `size` once that was set. Attention between columns then sees a tile's
            columns only. May be set, to a multiple of 32 and less than that, unless the network
            was exported.
        metadata: Recipe, versions, scores and whatever else was written beside the weights.
    """

    def __init__(
        self,
        network: Network,
        classes: Sequence[LabelClass],
        size: Size | None = None,
        metadata: dict[str, Any] | None = None,
    ):
        if network.num_classes not in (None, len(classes)):
            raise UsageError(
                f"the model has {network.num_classes} classes, but {len(classes)} are named"
            )
        self.network = network
        self.classes = tuple(classes)
        self._size = size
        self._tiled_size: Size | None = None
        self._tile: tuple[int, int] | None = None
        self.metadata = metadata or {}

    @property
    def size(self) -> Size | None:
        return self.network.size or self._size

    @size.setter
    def size(self, size: Size | None) -> None:
        fixed = self.network.size
        if fixed and size != fixed:
            raise UsageError(
                f"`size` {size or 'native'}: this model was exported for {fixed[0]}x{fixed[1]}; "
                "take the Keras model it came from, or export it for another size"
            )
        if isinstance(size, tuple):
            require_size(size)
        self._size = self._tiled_size = size

    @property
    def tile(self) -> tuple[int, int] | None:
        return self._tile

    @tile.setter
    def tile(self, tile: tuple[int, int] | None) -> None:
        if tile is not None:
            side, overlap = tile
            if self.network.size:
                raise UsageError(
                    f"`tile` {side}: this model runs at {'x'.join(map(str, self.network.size))} "
                    "only; take a Keras model of any size"
                )
            if side < STRIDE or side % STRIDE:
                raise UsageError(f"`tile` {side}: a multiple of {STRIDE} is needed")
            if not 0 <= overlap < side:
                raise UsageError(f"`overlap` {overlap}: 0 to {side - 1} is possible")
        self._tile = tile

    @property
    def temperature(self) -> float:
        """What logits are divided by for confidences; as `asap-tf eval --calibrate` found it."""
        return self.metadata.get("temperature", 1.0)

    @property
    def palette(self) -> np.ndarray:
        """Colors by train id, uint8 `(num_classes, 3)`, RGB."""
        return palette(self.classes)

    @property
    def format(self) -> str:
        """Key of `asap_tf.core.formats.FORMATS`: `"keras"`, `"litert"`, `"onnx"` and so on."""
        return self.network.format

    @property
    def precision(self) -> str:
        """`"fp32"`, `"fp16"`, `"int8"` or `"dynamic"`; `"unknown"` where the file does not say."""
        return self.metadata.get("precision", "unknown")

    def predict(
        self,
        frames: np.ndarray,
        out: np.ndarray | None = None,
        unknown_below: float | None = None,
    ) -> np.ndarray:
        """Labels every pixel. Any number of threads may call it at once.

        Args:
            frames: RGB, uint8 `(N, H, W, 3)`, any H and W.
            out: Contiguous uint8 `(N, H, W)` that takes the labels, so that frame after frame
                needs no new memory. None makes a new array, which no later call overwrites.
            unknown_below: Least confidence, 0..1 (see `confidence`); less confident pixels are
                255. None labels every pixel.

        Returns:
            Train ids, uint8 `(N, H, W)`, at the frames' own size; `out` where it was given.

        Raises:
            UsageError: if the frames or `out` have another shape or type, `unknown_below` is not
                within 0..1, or the network gives labels only and that or `tile` is set.
            AsapError: if the network gives labels beyond its classes.

        Examples:
            >>> labels = asap_tf.load("runs/camvid").predict(frames)
        """
        frames = _checked(frames)
        size = frames.shape[1:3]
        if out is not None:
            _check_out(out, frames.shape[:3])
        if unknown_below is not None and not 0 <= unknown_below <= 1:
            raise UsageError(f"`unknown_below` {unknown_below}: a number from 0 to 1 is needed")
        if self.tile or unknown_below is not None:
            labels = np.empty(frames.shape[:3], np.uint8) if out is None else out
            if unknown_below is not None:
                for index, rows, found, sure in self._answers(frames):
                    labels[index, rows] = np.where(sure < unknown_below, IGNORE_LABEL, found)
            else:
                for index, rows, logits in self.logits_in_parts(frames):
                    labels[index, rows] = logits.argmax(-1)
            return labels
        labels = self.network.labels(self._sized(frames, self.size), size, out)
        self._check_labels(labels)
        return labels

    def confidence(self, frames: np.ndarray) -> np.ndarray:
        """How sure the network is of each label: the softmax probability of the class it gives.

        Of logits divided by `temperature`. At 1, and on frames unlike those that it was fitted on,
        0.9 need not be right nine times in ten.

        Args:
            frames: RGB, uint8 `(N, H, W, 3)`, any H and W.

        Returns:
            float32 `(N, H, W)`, from 1 / number of classes to 1, at the frames' own size.

        Raises:
            UsageError: if the frames have another shape or type, or the network gives labels only.
            AsapError: if the network gives labels beyond its classes.
        """
        frames = _checked(frames)
        result = np.empty(frames.shape[:3], np.float32)
        for index, rows, _, sure in self._answers(frames):
            result[index, rows] = sure
        return result

    def probabilities(self, frames: np.ndarray, size: tuple[int, int] | None = None) -> np.ndarray:
        """Class probabilities, for averaging over scales and flips.

        Args:
            frames: RGB, uint8 `(N, H, W, 3)`.
            size: `(H, W)`, multiples of 32, to run the network at instead of `self.size`.

        Returns:
            Softmax, float32 `(N, H, W, num_classes)`, at the frames' own size.

        Raises:
            UsageError: if the frames have another shape or type, or an exported network cannot
                run at `size` or gives labels only.
        """
        frames, fixed = _checked(frames), self.network.size
        if size and fixed and tuple(size) != fixed:
            raise UsageError(
                f"this model was exported for {fixed[0]}x{fixed[1]} and cannot run at "
                f"{size[0]}x{size[1]}: leave `scales` out, or take the Keras model it came from"
            )
        sized = self._sized(frames, size or self.size)
        return self.network.probabilities(sized, frames.shape[1:3])

    def network_size(self, frame: tuple[int, int]) -> tuple[int, int]:
        """The `(H, W)` that a frame of `(H, W)` is brought to for the network, or a tile's."""
        if self.tile:
            height, width = self._cut_from(frame)
            return min(self.tile[0], height), min(self.tile[0], width)
        return self.network.size or _network_size(self._size, frame)

    def operations(self) -> dict[str, Any]:
        """What a frame costs, as `Operations.to_dict` gives it; empty if nobody can tell.

        An exported network's counts stand in its metadata, since its own graph is rewritten; a
        Keras model of known size is counted.
        """
        known: dict[str, Any] = {
            entry: self.metadata[entry]
            for entry in ("multiply_accumulates", "operations")
            if entry in self.metadata
        }
        size = size_without_frame(self.size)
        return known or (self.network.operations(size) if size else {})

    def logits_in_parts(self, frames: np.ndarray) -> Iterator[tuple[int, slice, np.ndarray]]:
        """Logits at the frames' own size, of which a whole frame's would fill the memory.

        Args:
            frames: RGB, uint8 `(N, H, W, 3)`.

        Yields:
            Number of the frame, rows, and their logits, float32 `(rows, W, classes)`.

        Raises:
            UsageError: if the network gives labels only.
        """
        for index, frame in enumerate(frames):
            for rows, logits in self._parts(frame):
                yield index, rows, logits

    def _parts(self, frame: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
        """Rows of a frame, uint8 `(H, W, 3)`, and their logits, `(rows, W, classes)`."""
        size = frame.shape[:2]
        if not self.tile:
            return self.network.logit_bands(self._sized(frame[np.newaxis], self.size)[0], size)
        frame = resize_frames(frame[np.newaxis], self._cut_from(size))[0]
        if max(frame.shape[:2]) <= self.tile[0]:
            return self.network.logit_bands(frame, size)
        parts = tiled_logits(self.network, frame, *self.tile)
        if frame.shape[:2] == size:
            return parts
        return resized_parts((logits for _, logits in parts), len(frame), size)

    def _cut_from(self, frame: tuple[int, int]) -> tuple[int, int]:
        """The `(H, W)` that a frame of `(H, W)` is brought to before tiles are cut from it."""
        return frame if self._tiled_size is None else _network_size(self._tiled_size, frame)

    def _answers(self, frames: np.ndarray) -> Iterator[tuple[int, slice, np.ndarray, np.ndarray]]:
        """Number of the frame, rows, and their labels and confidence, both `(rows, W)`."""
        if self.network.has_confidence:
            answers = self.network.labels_and_confidence(frames, frames.shape[1:3])
            for index, (labels, sure) in enumerate(answers):
                self._check_labels(labels)
                yield index, slice(None), labels, sure
        else:
            for index, rows, logits in self.logits_in_parts(frames):
                yield index, rows, logits.argmax(-1), self._confidence(logits)

    def _check_labels(self, labels: np.ndarray) -> None:
        # Along one axis: over several, NumPy 1 takes a buffer of 8 KiB.
        largest = labels.ravel().max() if self.network.num_classes is None else 0
        if largest >= len(self.classes):
            raise AsapError(
                f"the network gave label {largest}, but {len(self.classes)} classes are "
                "named: it is damaged, or its metadata belongs to another model"
            )

    def _confidence(self, logits: np.ndarray) -> np.ndarray:
        """The largest softmax probability, float32 `(H, W)`, of logits `(H, W, C)`."""
        scaled = logits / np.float32(self.temperature)
        return 1 / np.exp(scaled - scaled.max(-1, keepdims=True)).sum(-1)

    def _sized(self, frames: np.ndarray, size: Size | None) -> np.ndarray:
        """Frames for a network that runs at any size."""
        if self.network.size:
            return frames  # It brings them to its size itself.
        return resize_frames(frames, _network_size(size, frames.shape[1:3]))


def _network_size(size: Size | None, frame: tuple[int, ...]) -> tuple[int, int]:
    height, width = size_of_frame(size, frame)
    if not isinstance(size, tuple):
        height, width = network_side(height), network_side(width)
    return int(height), int(width)


def _checked(frames: Any) -> np.ndarray:
    frames = np.asarray(frames)
    shape = frames.shape
    if len(shape) != 4 or shape[-1] != 3 or frames.dtype != np.uint8 or not frames.size:
        raise UsageError(
            f"frames must be uint8 RGB of shape (N, H, W, 3). Received: {frames.dtype} {shape}"
        )
    return frames


def _check_out(out: np.ndarray, shape: tuple[int, ...]) -> None:
    if out.shape != shape or out.dtype != np.uint8 or not out.flags.c_contiguous:
        raise UsageError(
            f"out must be contiguous uint8 of shape {shape}. Received: {out.dtype} {out.shape}"
        )
