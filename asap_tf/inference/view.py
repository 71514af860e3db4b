"""What is written of a frame and of what a network says about it."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from asap_tf.core.errors import UsageError, nearest
from asap_tf.core.files import written_whole
from asap_tf.core.labels import IGNORE_LABEL, LabelClass, palette
from asap_tf.data.images import write_image
from asap_tf.inference.polygons import layers
from asap_tf.inference.visualize import colorize, overlay, segment_png, shares_legend
from asap_tf.runtime.network import softmax

if TYPE_CHECKING:
    from asap_tf.runtime import Segmenter

MODES = ("overlay", "color", "ids", "confidence", "labelme", "coco", "probabilities")
FORMATS = ("png", "jpg", "webp")
_ENDINGS = {
    "ids": "png",
    "confidence": "png",
    "labelme": "json",
    "coco": "png",
    "probabilities": "npz",
}
"""Of modes that have one format."""

_OF_IMAGES = ("labelme", "coco", "probabilities")
_UNKNOWN = "unknown"
"""What pixels are called whose label is 255."""


@dataclass(frozen=True)
class View:
    """What is written of a frame.

    Attributes:
        classes: Classes in the order of their train ids.
        mode: `"overlay"`, the frame under the class colors; `"color"`, the class colors alone;
            `"ids"`, the train ids as 8-bit gray; `"confidence"`, that of the labels as 8-bit gray,
            255 for 1; `"labelme"`, the labels as Labelme's polygons; `"coco"`, as the numbers of
            COCO's panoptic segments (see `segment_png`), which a `PanopticReport` explains;
            `"probabilities"`, those of all classes, float16 `(H, W, classes)`, as NPZ with the
            classes' names.
        legend: Whether an overlay has a legend below.
        format: Of images of overlays and colors, one of `FORMATS`; others have one format.
        unknown_below: As of `Segmenter.predict`; what is unknown is black among colors, and the
            bare frame in an overlay.

    Raises:
        UsageError: for an unknown mode or format, or one that would change numbers.
    """

    classes: Sequence[LabelClass]
    mode: str = "overlay"
    legend: bool = False
    format: str = "png"
    unknown_below: float | None = None

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise UsageError(f"`mode` '{self.mode}': {nearest(self.mode, MODES)}")
        if self.format not in FORMATS:
            raise UsageError(f"`format` '{self.format}': {nearest(self.format, FORMATS)}")
        if self.mode in _ENDINGS and self.format != "png":
            raise UsageError(
                f"`format` {self.format}: `mode` {self.mode} is written as {self.ending}"
            )
        if not self.has_labels and self.unknown_below is not None:
            raise UsageError(f"`unknown_below`: is of labels; leave it out for {self.mode}")

    @property
    def is_numbers(self) -> bool:
        """Whether every pixel is a number, which a video would not keep."""
        return self.mode in ("ids", "confidence")

    @property
    def has_labels(self) -> bool:
        """Whether `answer` gives labels."""
        return self.mode not in ("confidence", "probabilities")

    @property
    def ending(self) -> str:
        """Of an image's result, without the dot."""
        return _ENDINGS.get(self.mode, self.format)

    def refuse_video(self, source: object) -> None:
        """Raises a `UsageError` if `mode` is of images alone."""
        if self.mode in _OF_IMAGES:
            raise UsageError(f"{source}: `mode` {self.mode} is for images, not for videos")

    def answer(self, segmenter: Segmenter, frame: np.ndarray) -> np.ndarray:
        """What the network says of a frame.

        Returns:
            Labels or their confidence, uint8 `(H, W)`; or probabilities, float16 `(H, W, classes)`.
        """
        frames = frame[np.newaxis]
        if self.mode == "probabilities":
            found = np.empty((*frame.shape[:2], len(self.classes)), np.float16)
            for _, rows, logits in segmenter.logits_in_parts(frames):
                found[rows] = softmax(logits / np.float32(segmenter.temperature))
            return found
        if self.mode == "confidence":
            return np.rint(255 * segmenter.confidence(frames)[0]).astype(np.uint8)
        if self.unknown_below is None:
            return segmenter.predict(frames)[0]
        return segmenter.predict(frames, unknown_below=self.unknown_below)[0]

    def write(self, target: Path, source: Path, frame: np.ndarray, answer: np.ndarray) -> None:
        """Writes an image's result whole or not at all.

        Args:
            target: File to write, in a folder that exists.
            source: The image's file.
            frame: uint8 `(H, W, 3)`, RGB.
            answer: As `answer` gives it.

        Raises:
            AsapError: if it cannot be written.
        """
        if self.mode == "labelme":
            content = json.dumps(self._labelme(target, source, answer), allow_nan=False)
            with written_whole(target) as aside:
                aside.write_text(content, encoding="utf-8")
        elif self.mode == "probabilities":
            names = np.array([label.name for label in self.classes])
            with written_whole(target) as aside:
                np.savez_compressed(aside, probabilities=answer, classes=names)
        else:
            write_image(target, self.picture(frame, answer))

    def _labelme(self, target: Path, source: Path, labels: np.ndarray) -> dict[str, object]:
        names = {IGNORE_LABEL: _UNKNOWN} | {i: c.name for i, c in enumerate(self.classes)}
        image, folder = source.parent.resolve() / source.name, target.parent.resolve()
        try:
            place = Path(os.path.relpath(image, folder))
        except ValueError:  # On another drive of Windows.
            place = image
        return {
            "version": "5.5.0",
            "flags": {},
            "shapes": [
                {
                    "label": names[train_id],
                    "points": outline.tolist(),
                    "group_id": None,
                    "description": "",
                    "shape_type": "polygon",
                    "flags": {},
                }
                for train_id, outline in layers(labels)
            ],
            "imagePath": place.as_posix(),
            "imageData": None,
            "imageHeight": labels.shape[0],
            "imageWidth": labels.shape[1],
        }

    def picture(
        self, frame: np.ndarray, answer: np.ndarray, same_height: bool = False
    ) -> np.ndarray:
        """The picture, uint8 `(H, W, 3)` RGB, or `(H, W)` of numbers; `same_height` for a video."""
        if self.is_numbers:
            return answer
        if self.mode == "coco":
            return segment_png(answer)
        if self.mode == "color":
            return colorize(answer, palette(self.classes))
        shown = overlay(frame, answer, palette(self.classes))
        if not self.legend:
            return shown
        unknown = self.unknown_below is not None
        band = shares_legend(answer, self.classes, same_height, unknown)
        return np.vstack([shown, band])
