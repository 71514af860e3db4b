"""What is written of a frame and of what a network says about it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from asap_tf.core.errors import UsageError, nearest
from asap_tf.core.labels import LabelClass, palette
from asap_tf.inference.visualize import colorize, overlay, shares_legend

if TYPE_CHECKING:
    from asap_tf.runtime import Segmenter

MODES = ("overlay", "color", "ids", "confidence")
FORMATS = ("png", "jpg", "webp")


@dataclass(frozen=True)
class View:
    """What is written of a frame.

    Attributes:
        classes: Classes in the order of their train ids.
        mode: `"overlay"`, the frame under the class colors; `"color"`, the class colors alone;
            `"ids"`, the train ids as 8-bit gray; `"confidence"`, that of the labels as 8-bit gray,
            255 for 1.
        legend: Whether an overlay has a legend below.
        format: Of images of overlays and colors, one of `FORMATS`; numbers are PNG.
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
        if self.is_numbers and self.format != "png":
            raise UsageError(f"`format` {self.format}: `mode` {self.mode} is written as png")
        if self.mode == "confidence" and self.unknown_below is not None:
            raise UsageError("`unknown_below`: is of labels; leave it out for confidence")

    @property
    def is_numbers(self) -> bool:
        """Whether every pixel is a number, which a video would not keep."""
        return self.mode in ("ids", "confidence")

    def answer(self, segmenter: Segmenter, frame: np.ndarray) -> np.ndarray:
        """What the network says of a frame, uint8 `(H, W)`: labels, or their confidence."""
        frames = frame[np.newaxis]
        if self.mode == "confidence":
            return np.rint(255 * segmenter.confidence(frames)[0]).astype(np.uint8)
        if self.unknown_below is None:
            return segmenter.predict(frames)[0]
        return segmenter.predict(frames, unknown_below=self.unknown_below)[0]

    def picture(
        self, frame: np.ndarray, answer: np.ndarray, same_height: bool = False
    ) -> np.ndarray:
        """The picture, uint8 `(H, W, 3)` RGB, or `(H, W)` of numbers; `same_height` for a video."""
        if self.is_numbers:
            return answer
        if self.mode == "color":
            return colorize(answer, palette(self.classes))
        shown = overlay(frame, answer, palette(self.classes))
        if not self.legend:
            return shown
        unknown = self.unknown_below is not None
        band = shares_legend(answer, self.classes, same_height, unknown)
        return np.vstack([shown, band])
