"""What every runtime gives: a network from frames to label maps."""

from __future__ import annotations

import contextlib
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import cv2
import numpy as np

from asap_tf.core.errors import AsapError, UsageError


class Network(Protocol):
    """A network in some runtime, for frames that already have its size.

    Attributes:
        format: `"keras"`, `"saved_model"`, `"tf_trt"`, `"litert"`, `"onnx"`, `"openvino"` or
            `"tensorrt"`.
        runtime: For people: `"LiteRT 2.3.0, XNNPACK, 2 threads"`.
        size: `(H, W)`, if it runs at this size only; None takes any multiples of 32.
        num_classes: Classes told apart; None where it gives labels and does not say.
        metadata: What is embedded in the file; empty if nothing is.
    """

    format: str
    runtime: str
    size: tuple[int, int] | None
    num_classes: int | None
    metadata: dict[str, Any]

    def labels(self, frames: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
        """Train ids at `size`, uint8 `(N, *size)`, of uint8 RGB frames `(N, H, W, 3)`."""
        ...

    def probabilities(self, frames: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
        """Softmax at `size`, float32 `(N, *size, num_classes)`.

        Raises:
            UsageError: if the network gives labels only.
        """
        ...


class Tensor(NamedTuple):
    """An input or output of a file; whatever is no int stands for a length left open."""

    name: str
    dtype: str
    shape: Sequence[Any]

    def __str__(self) -> str:
        lengths = (str(n) if isinstance(n, int) else "?" for n in self.shape)
        return f"{self.name} {self.dtype} ({', '.join(lengths)})"


class Signature(NamedTuple):
    """What an exported network takes and gives.

    Attributes:
        batch: Frames to a call.
        size: `(H, W)` of frames and output.
        num_classes: Channels of the logits; None if it gives labels.
    """

    batch: int
    size: tuple[int, int]
    num_classes: int | None


def signature_of(path: Path, inputs: Sequence[Tensor], outputs: Sequence[Tensor]) -> Signature:
    """Checks that a file takes and gives what an exported network does.

    That is one input, uint8 `(N, H, W, 3)`, and one output, labels as uint8 `(N, H, W)` or logits
    as float32 `(N, H, W, C)`, all lengths fixed. Names do not matter.

    Raises:
        AsapError: if not, saying what it takes and gives.

    Example:
        >>> frames, labels = Tensor("x", "uint8", (1, 64, 96, 3)), Tensor("y", "uint8", (1, 64, 96))
        >>> signature_of(Path("a.onnx"), [frames], [labels])
        Signature(batch=1, size=(64, 96), num_classes=None)
    """
    tensors = [*inputs, *outputs]
    alike = len({tuple(tensor.shape[:3]) for tensor in tensors}) == 1
    match [(tensor.dtype, *tensor.shape) for tensor in tensors]:
        case [("uint8", int(n), int(h), int(w), 3), ("uint8", _, _, _)] if alike:
            return Signature(n, (h, w), None)
        case [("uint8", int(n), int(h), int(w), 3), ("float32", _, _, _, int(c))] if alike:
            if c <= 256:
                return Signature(n, (h, w), c)
    raise AsapError(
        f"{path}: not a segmentation network as asap-tf exports them: it takes "
        f"{', '.join(map(str, inputs)) or 'nothing'} and gives "
        f"{', '.join(map(str, outputs)) or 'nothing'}; wanted uint8 (N, H, W, 3) to labels, "
        "uint8 (N, H, W), or logits, float32 (N, H, W, C), of fixed size"
    )


class FixedNetwork(ABC):
    """An exported network: fixed size and batch, labels or logits. Subclasses say how to run it.

    Unlike other networks it takes frames of any size: it brings them to its own batch by batch, in
    memory that it keeps.

    Args:
        signature: What it takes and gives.
        runtime: For people: `"LiteRT 2.3.0, XNNPACK, 2 threads"`.
        metadata: What is embedded in the file.
    """

    format: str
    exclusive = False
    """Whether only one thread at a time may run it, and use what it gave."""

    def __init__(self, signature: Signature, runtime: str, metadata: dict[str, Any] | None = None):
        self.batch, self.size, self.num_classes = signature
        self.runtime = runtime
        self.metadata = metadata or {}
        # Of each thread, so that runtimes which serve several at once still can.
        self._scratch = threading.local()
        self._turn = threading.Lock() if self.exclusive else contextlib.nullcontext()

    @property
    def output(self) -> str:
        """`"labels"` or `"logits"`."""
        return "labels" if self.num_classes is None else "logits"

    @abstractmethod
    def run(self, frames: np.ndarray) -> np.ndarray:
        """The network's own output, not to be overwritten by the next call.

        Args:
            frames: Exactly `batch`, contiguous, uint8 `(batch, *self.size, 3)`.

        Returns:
            Labels, uint8 `(batch, *self.size)`, or logits, float32 with one axis more.
        """

    def run_shared(self, frames: np.ndarray) -> np.ndarray:
        """As `run`, but the next call may overwrite the output: for runtimes that can save a copy.

        Args:
            frames: As of `run`.
        """
        return self.run(frames)

    def labels(
        self, frames: np.ndarray, size: tuple[int, ...], out: np.ndarray | None = None
    ) -> np.ndarray:
        """Train ids at `size`: labels resized to the nearest, logits bilinearly.

        Args:
            frames: RGB, uint8 `(N, H, W, 3)`.
            size: `(H, W)` of the labels.
            out: Takes the labels, contiguous uint8 `(N, *size)`; None makes a new array.
        """
        result = np.empty((len(frames), *size), np.uint8) if out is None else out
        for target, output in zip(result, self._outputs(frames), strict=True):
            if self.num_classes is not None:
                target[:] = _resized(output, size).argmax(-1)
            elif output.shape == target.shape:
                target[:] = output
            else:
                # INTER_NEAREST would shift the map by up to half a pixel.
                cv2.resize(output, size[::-1], target, interpolation=cv2.INTER_NEAREST_EXACT)
        return result

    def probabilities(self, frames: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
        """Softmax at `size`, of bilinearly resized logits."""
        if self.num_classes is None:
            raise UsageError(
                "this model gives labels and no probabilities: leave --scales and --flip out, "
                "export it with --output logits, or take the Keras model it came from"
            )
        result = np.empty((len(frames), *size, self.num_classes), np.float32)
        for target, output in zip(result, self._outputs(frames), strict=True):
            logits = _resized(output, size)
            np.exp(logits - logits.max(-1, keepdims=True), out=target)
            target /= target.sum(-1, keepdims=True)
        return result

    def _outputs(self, frames: np.ndarray) -> Iterator[np.ndarray]:
        """The output for each frame."""
        for start in range(0, len(frames), self.batch):
            part = frames[start : start + self.batch]
            fitted = self._fitted(part)
            with self._turn:
                yield from self.run_shared(fitted)[: len(part)]

    def _fitted(self, frames: np.ndarray) -> np.ndarray:
        """A whole batch at the network's size: `frames` themselves, or written over the last one.

        A batch that is short keeps frames of an earlier one at its end.
        """
        shape = (self.batch, *self.size, 3)
        if frames.shape == shape and frames.flags.c_contiguous:
            return frames
        if not hasattr(self._scratch, "frames"):
            self._scratch.frames = np.zeros(shape, np.uint8)
        for frame, target in zip(frames, self._scratch.frames, strict=False):
            if frame.shape == target.shape:
                np.copyto(target, frame)
            else:
                cv2.resize(frame, self.size[::-1], dst=target)
        return self._scratch.frames


def _resized(logits: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
    if logits.shape[:2] == size:
        return logits
    # OpenCV drops the axis of a single channel.
    return cv2.resize(logits, size[::-1]).reshape(*size, -1)
