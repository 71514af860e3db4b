"""The interface of a network from frames to labels, and what all exported ones share."""

from __future__ import annotations

import contextlib
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from asap_tf.core.errors import AsapError, UsageError
from asap_tf.core.resize import (
    resize_bilinear,
    resize_frame,
    resize_nearest,
    resized_bands,
)


class Network(ABC):
    """A network in some runtime, and all that callers may ask of it.

    A class that `asap_tf.core.formats` names also has a class method `open(path, threads=None)`,
    which raises AsapError if the runtime is not installed or the file is no segmentation network.

    Attributes:
        format: Key of `asap_tf.core.formats.FORMATS`.
        runtime: Runtime for people: `"LiteRT 2.3.0, XNNPACK, 2 threads"`.
        size: `(H, W)` that it brings frames to; None if it takes frames of any size
            as they are.
        batch: Frames to a call of the runtime; None if any number will do. Methods take any
            number in either case.
        num_classes: Channels of the logits; None if it gives labels alone.
        metadata: Metadata embedded in the file; empty if there is none.
        has_confidence: Whether it gives labels and how sure it is of them, but no logits.
        model: Keras model that runs; None if another runtime does.
    """

    format: str
    runtime: str
    size: tuple[int, int] | None
    batch: int | None
    num_classes: int | None
    metadata: dict[str, Any]
    has_confidence: bool = False
    model: Any = None

    @property
    def output(self) -> str:
        """`"labels"`, `"labels+confidence"` or `"logits"`: what the file gives."""
        if self.has_confidence:
            return "labels+confidence"
        return "labels" if self.num_classes is None else "logits"

    @abstractmethod
    def labels(
        self, frames: np.ndarray, size: tuple[int, ...], out: np.ndarray | None = None
    ) -> np.ndarray:
        """Train ids, uint8 `(N, *size)`: the argmax of bilinearly resized logits.

        Of a network that gives labels alone, those of the nearest pixels.

        Args:
            frames: RGB, uint8 `(N, H, W, 3)`; see `size` of the class.
            size: `(H, W)` of the labels.
            out: Contiguous uint8 `(N, *size)` that takes the labels; None makes a new array.
        """

    @abstractmethod
    def probabilities(self, frames: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
        """Softmax of bilinearly resized logits, float32 `(N, *size, num_classes)`.

        Args:
            frames: As of `labels`.
            size: `(H, W)` of the probabilities.

        Raises:
            UsageError: if the network gives labels alone.
        """

    @abstractmethod
    def logit_bands(
        self, frame: np.ndarray, size: tuple[int, ...]
    ) -> Iterator[tuple[slice, np.ndarray]]:
        """Bilinearly resized logits of one frame, in parts: large ones would fill the memory.

        Args:
            frame: RGB, uint8 `(H, W, 3)`; see `size` of the class.
            size: `(H, W)` of the logits.

        Yields:
            Rows, in order, and their logits, float32 `(rows, size[1], num_classes)`.

        Raises:
            UsageError: if the network gives labels alone.
        """

    def labels_and_confidence(
        self, frames: np.ndarray, size: tuple[int, ...]
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Labels, uint8 `size`, and confidence, float32 `size`, 0..1, of each frame.

        Of a network that `has_confidence` alone. Arguments as of `labels`.
        """
        raise NotImplementedError

    def operations(self, size: tuple[int, int]) -> dict[str, Any]:
        """`Operations.to_dict` of a frame; empty for an export, whose graph is another."""
        return {}


def softmax(logits: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
    """Probabilities of logits, both floats `(..., classes)`; in `out` if it is given."""
    result = np.exp(logits - logits.max(-1, keepdims=True), out=out)
    result /= result.sum(-1, keepdims=True)
    return result


class TensorSpec(NamedTuple):
    """An input or output of a file.

    Attributes:
        name: Name in the file.
        dtype: NumPy's name of the type.
        shape: Lengths; whatever is no int stands for a length left open.
    """

    name: str
    dtype: str
    shape: Sequence[Any]

    def __str__(self) -> str:
        lengths = (str(n) if isinstance(n, int) else "?" for n in self.shape)
        return f"{self.name} {self.dtype} ({', '.join(lengths)})"


class Signature(NamedTuple):
    """Batch, size and output of an exported network.

    Attributes:
        batch: Frames to a call.
        size: `(H, W)` of frames and output.
        num_classes: Channels of the logits; None if it gives labels.
        has_confidence: Whether it gives confidence beside labels.
    """

    batch: int
    size: tuple[int, int]
    num_classes: int | None
    has_confidence: bool = False


def signature_of(
    path: Path, inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec]
) -> Signature:
    """Checks that a file takes and gives what an exported network does.

    That is one input, uint8 `(N, H, W, 3)`, and one output: labels as uint8 `(N, H, W)`, labels and
    confidence as uint8 `(N, 2, H, W)`, or logits as float32 `(N, H, W, C)`, all lengths fixed.
    Names do not matter.

    Raises:
        AsapError: if not, saying what it takes and gives.

    Examples:
        >>> frames = TensorSpec("x", "uint8", (1, 64, 96, 3))
        >>> signature_of(Path("a.onnx"), [frames], [TensorSpec("y", "uint8", (1, 64, 96))])
        Signature(batch=1, size=(64, 96), num_classes=None, has_confidence=False)
    """
    match [(tensor.dtype, *tensor.shape) for tensor in (*inputs, *outputs)]:
        case [("uint8", int(n), int(h), int(w), 3), (kind, *lengths)]:
            match kind, *lengths:
                case ["uint8", *rest] if rest == [n, h, w]:
                    return Signature(n, (h, w), None)
                case ["uint8", *rest] if rest == [n, 2, h, w]:
                    return Signature(n, (h, w), None, has_confidence=True)
                case ["float32", *rest, int(c)] if rest == [n, h, w] and c <= 256:
                    return Signature(n, (h, w), c)
    raise AsapError(
        f"{path}: not a segmentation network as asap-tf exports them: it takes "
        f"{', '.join(map(str, inputs)) or 'nothing'} and gives "
        f"{', '.join(map(str, outputs)) or 'nothing'}; wanted uint8 (N, H, W, 3) to labels, "
        "uint8 (N, H, W), labels and confidence, uint8 (N, 2, H, W), or logits, float32 "
        "(N, H, W, C), of fixed size"
    )


class FixedNetwork(Network):
    """An exported network: fixed size, batch and output. Subclasses say how to run it.

    Frames are brought to its size batch by batch, in memory that it keeps.

    Args:
        signature: Batch, size and number of classes.
        runtime: Runtime for people: `"LiteRT 2.3.0, XNNPACK, 2 threads"`.
        metadata: Metadata embedded in the file.
    """

    batch: int
    size: tuple[int, int]
    exclusive = False
    """Whether only one thread at a time may run it, and use what it gave."""

    def __init__(self, signature: Signature, runtime: str, metadata: dict[str, Any] | None = None):
        self.batch, self.size, self.num_classes, self.has_confidence = signature
        self.runtime = runtime
        self.metadata = metadata or {}
        # Of each thread, so that runtimes which serve several at once still can.
        self._scratch = threading.local()
        self._turn = threading.Lock() if self.exclusive else contextlib.nullcontext()

    @abstractmethod
    def run(self, frames: np.ndarray) -> np.ndarray:
        """The network's own output, not to be overwritten by the next call.

        Args:
            frames: Exactly `batch`, contiguous, uint8 `(batch, *self.size, 3)`.

        Returns:
            Labels, uint8 `(batch, *self.size)`; labels and confidence, uint8
            `(batch, 2, *self.size)`; or logits, float32 `(batch, *self.size, num_classes)`.
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
        result = np.empty((len(frames), *size), np.uint8) if out is None else out
        for target, output in zip(result, self._outputs(frames), strict=True):
            if self.num_classes is None:
                resize_nearest(output[0] if self.has_confidence else output, size, target)
            else:
                for rows, logits in resized_bands(output, size):
                    target[rows] = logits.argmax(-1)
        return result

    def probabilities(self, frames: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
        self._require_logits("leave `scales` and `flip` out")
        result = np.empty((len(frames), *size, self.num_classes or 0), np.float32)
        for target, output in zip(result, self._outputs(frames), strict=True):
            softmax(resize_bilinear(output, size), target)
        return result

    def logit_bands(
        self, frame: np.ndarray, size: tuple[int, ...]
    ) -> Iterator[tuple[slice, np.ndarray]]:
        self._require_logits("ask for labels alone")
        for output in self._outputs(frame[np.newaxis]):
            yield from resized_bands(output, size)

    def labels_and_confidence(
        self, frames: np.ndarray, size: tuple[int, ...]
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for output in self._outputs(frames):
            labels, sure = (resize_nearest(values, size) for values in output)
            yield labels, sure / np.float32(255)

    def _require_logits(self, instead: str) -> None:
        if self.num_classes is None:
            raise UsageError(
                f"this model gives labels and no probabilities: {instead}, export it with logits "
                "as its output, or take the Keras model it came from"
            )

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
            resize_frame(frame, self.size, target)
        return self._scratch.frames
