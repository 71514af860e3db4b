"""Images of label maps: color maps, overlays, error maps and contact sheets."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from asap_tf.core.errors import UsageError
from asap_tf.core.labels import IGNORE_LABEL, LabelClass
from asap_tf.data.dataset import Dataset
from asap_tf.data.images import read_image, read_mask

Color = tuple[int, int, int]

_PAPER = (255, 255, 255)
_INK = (32, 33, 36)
_WRONG = (230, 0, 38)


def colorize(labels: np.ndarray, palette: np.ndarray) -> np.ndarray:
    """Colors of a label map.

    Args:
        labels: Train ids, uint8 `(..., H, W)`; 255 is the ignore label.
        palette: Colors by train id, uint8 `(num_classes, 3)`, RGB.

    Returns:
        uint8 `(..., H, W, 3)`, RGB; black for ids outside the palette, such as 255.

    Examples:
        >>> colorize(np.array([[0, 255]], np.uint8), np.array([[128, 64, 128]], np.uint8)).tolist()
        [[[128, 64, 128], [0, 0, 0]]]
    """
    table = np.zeros((256, 1, 3), np.uint8)
    table[: len(palette), 0] = palette
    rows = labels.reshape(-1, labels.shape[-1])
    return cv2.applyColorMap(rows, table).reshape(*labels.shape, 3)


def segment_png(labels: np.ndarray) -> np.ndarray:
    """The numbers of segments as COCO packs them into colors, red + 256 green + 256^2 blue.

    Args:
        labels: Train ids, uint8 `(H, W)`. A class is one segment, whose number is its train id
            plus 1; what is 255 is 0, void.

    Returns:
        uint8 `(H, W, 3)`, RGB.
    """
    png = np.zeros((*labels.shape, 3), np.uint8)
    png[..., 0] = np.where(labels == IGNORE_LABEL, 0, labels + np.uint8(1))
    return png


def overlay(
    frame: np.ndarray, labels: np.ndarray, palette: np.ndarray, alpha: float = 0.5
) -> np.ndarray:
    """A frame under the colors of its label map.

    Args:
        frame: uint8 `(H, W, 3)`, RGB.
        labels: Train ids, uint8 `(H, W)`; where they are 255 the frame stays as it is.
        palette: Colors by train id, uint8 `(num_classes, 3)`, RGB.
        alpha: Share of the color in the blend, 0 (only the frame) to 1 (only the colors).

    Returns:
        uint8 `(H, W, 3)`, RGB.
    """
    blended = colorize(labels, palette)
    cv2.addWeighted(frame, 1 - alpha, blended, alpha, 0, dst=blended)
    return cv2.copyTo(frame, (labels == IGNORE_LABEL).view(np.uint8), blended)


def error_map(frame: np.ndarray, truth: np.ndarray, prediction: np.ndarray) -> np.ndarray:
    """The errors of a prediction, red on a pale gray version of the frame.

    Args:
        frame: uint8 `(H, W, 3)`, RGB.
        truth: Train ids, uint8 `(H, W)`; pixels that are 255 count as neither right nor wrong and
            are shown dark.
        prediction: Train ids, uint8 `(H, W)`.

    Returns:
        uint8 `(H, W, 3)`, RGB.
    """
    gray = frame.mean(axis=-1, keepdims=True).repeat(3, axis=-1)
    shown = 140 + 0.45 * gray
    shown[truth == IGNORE_LABEL] = 0.35 * gray[truth == IGNORE_LABEL]
    shown[(truth != prediction) & (truth != IGNORE_LABEL)] = _WRONG
    return shown.astype(np.uint8)


def contact_sheet(
    rows: Sequence[Sequence[np.ndarray]],
    captions: Sequence[str] | None = None,
    legend: Sequence[LabelClass] | None = None,
    width: int = 1600,
) -> np.ndarray:
    """Images in a grid, each row under its caption, with a legend of the classes below.

    Args:
        rows: Images, uint8 `(H, W, 3)`, RGB, of any size; rows may differ in length.
        captions: Line of text for each row.
        legend: Classes to show by name and color.
        width: Width of the sheet in pixels; each image is scaled to its column, keeping its
            aspect ratio.

    Returns:
        uint8 `(height, width, 3)`, RGB.

    Raises:
        ValueError: if there is no image, or not one caption for each row.

    Examples:
        >>> frame = np.zeros((90, 160, 3), np.uint8)
        >>> contact_sheet([[frame, frame]], ["first"], width=800).shape
        (265, 800, 3)
    """
    columns = max(map(len, rows), default=0)
    if columns == 0:
        raise ValueError("a contact sheet needs at least one image")
    if captions is not None and len(captions) != len(rows):
        raise ValueError(f"{len(captions)} captions for {len(rows)} rows")
    gap = 12
    cell = (width - gap * (columns + 1)) // columns
    bands = []
    for index, row in enumerate(rows):
        if captions is not None:
            bands.append(_text_band(captions[index], width, gap))
        pictures = [_scaled(picture, cell) for picture in row]
        band = Image.new("RGB", (width, max(p.height for p in pictures) + gap), _PAPER)
        for column, picture in enumerate(pictures):
            band.paste(picture, (gap + column * (cell + gap), 0))
        bands.append(band)
    if legend:
        bands.append(_legend_band([(c.name, c.color) for c in legend], width, gap))
    sheet = Image.new("RGB", (width, gap + sum(b.height for b in bands)), _PAPER)
    top = gap
    for band in bands:
        sheet.paste(band, (0, top))
        top += band.height
    return np.asarray(sheet)


def _scaled(picture: np.ndarray, width: int) -> Image.Image:
    # Averages when shrinking, and keeps the pixels of small label maps sharp when enlarging.
    height = max(1, round(picture.shape[0] * width / picture.shape[1]))
    return Image.fromarray(picture).resize((width, height), Image.Resampling.BOX)


@functools.lru_cache(maxsize=16)
def _font(size: int = 16) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size=size)


def _text_band(text: str, width: int, gap: int) -> Image.Image:
    band = Image.new("RGB", (width, 26), _PAPER)
    ImageDraw.Draw(band).text((gap, 2), text, _INK, _font())
    return band


def _legend_band(
    entries: Sequence[tuple[str, Color]], width: int, gap: int, size: int = 16
) -> Image.Image:
    """Texts beside swatches of their colors, in as many lines as they need."""
    font = _font(size)
    swatch, line = round(1.125 * size), round(1.75 * size)
    places = []
    left, top = gap, round(0.375 * size)
    for text, _ in entries:
        extent = swatch + size // 2 + round(font.getlength(text))
        if left + extent > width - gap and left > gap:
            left, top = gap, top + line
        places.append((left, top))
        left += extent + round(1.375 * size)
    band = Image.new("RGB", (width, top + line + 2), _PAPER)
    draw = ImageDraw.Draw(band)
    for (text, color), (x, y) in zip(entries, places, strict=True):
        draw.rectangle((x, y, x + swatch, y + swatch), color, (150, 150, 150))
        draw.text((x + swatch + size // 2, y - 1), text, _INK, font)
    return band


def shares_legend(
    labels: np.ndarray,
    classes: Sequence[LabelClass],
    same_height: bool = False,
    unknown: bool = False,
) -> np.ndarray:
    """A legend of the classes in a label map, with the share of its pixels that each has.

    Args:
        labels: Train ids, uint8 `(H, W)`.
        classes: Classes in the order of their train ids.
        same_height: Whether all label maps of one width get the same height, as a video needs.
        unknown: Whether pixels of 255 are called unknown, on white; they are left out else.

    Returns:
        uint8 `(height, W, 3)`, RGB, to go under the picture.
    """
    width = labels.shape[1]
    gap = size = max(12, width // 60)
    # A quarter of the time of NumPy's bincount.
    shares = cv2.calcHist([labels], [0], None, [256], [0, 256]).ravel() / labels.size
    entries = [
        (f"{c.name} {_share(share)}", c.color)
        for c, share in zip(classes, shares, strict=False)
        if share > 0
    ]
    if unknown and shares[IGNORE_LABEL] > 0:
        entries.append((f"unknown {_share(shares[IGNORE_LABEL])}", _PAPER))
    band = np.asarray(_legend_band(entries, width, gap, size))
    if same_height:
        names = [*(c.name for c in classes), *["unknown"] * unknown]
        every = [(f"{name} {_share(1.0)}", _PAPER) for name in names]
        missing = _legend_band(every, width, gap, size).height - len(band)
        band = np.pad(band, ((0, missing), (0, 0), (0, 0)), constant_values=_PAPER[0])
    return band


def _share(share: float) -> str:
    return f"{100 * share:.1f} %" if share >= 0.001 else "< 0.1 %"


def dataset_sheet(dataset: Dataset, split: str, count: int = 12) -> np.ndarray:
    """Contact sheet of a split: evenly spread frames, each beside an overlay of its labels.

    Args:
        dataset: Dataset to show.
        split: Name of the split; without masks, the frames alone are shown.
        count: Largest number of frames.

    Returns:
        uint8 `(height, width, 3)`, RGB.

    Raises:
        UsageError: if there is no such split, or `count` is under 1.
        AsapError: if a file cannot be read.
    """
    if count < 1:
        raise UsageError(f"`count` {count}: a contact sheet needs at least one frame")
    pairs = dataset.pairs(split)
    chosen = pairs[:: -(-len(pairs) // count)]
    cells: list[list[np.ndarray]] = []
    for pair in chosen:
        frame = read_image(pair.image)
        cells.append([frame])
        if pair.mask is not None:
            labels = read_mask(pair.mask, dataset.encoding)
            cells[-1].append(overlay(frame, labels, dataset.palette))
    rows = [sum(cells[i : i + 2], []) for i in range(0, len(cells), 2)]
    return contact_sheet(rows, legend=dataset.classes)
