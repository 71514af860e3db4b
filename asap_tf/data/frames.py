"""Frames to label as people have them: any image that Pillow opens, upright and in RGB.

A dataset's frames are read strictly, by `asap_tf.data.images`: there a gray frame among color
frames is an accident. A frame to label is whatever somebody has.
"""

from __future__ import annotations

import contextlib
import logging
import os
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from PIL import Image, ImageCms

from asap_tf.core.errors import AsapError, shown
from asap_tf.core.optional import require
from asap_tf.data.images import BadFile, opened, orientation, raw_mode

_LOGGER = logging.getLogger("asap_tf")

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "TIFF", "GIF", "PPM", "AVIF", "JPEG2000", "HEIF")
"""Pillow's names. Others of its formats start programs (EPS), or nobody has frames in them."""

IMAGE_SUFFIXES = (
    *(".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".gif", ".avif", ".heic"),
    *(".heif", ".jp2", ".pgm", ".ppm", ".pnm", ".mpo", ".jfif"),
)
"""Of files that are taken for images by their name; the content decides how they are read."""

TRANSPARENT = "transparent; shown over black"
SCALED = "more than 8 bits a channel; its own range, darkest to brightest, became 0 to 255"

HEIC_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
"""Of ISO files, by which HEIC is known."""


class Frame(NamedTuple):
    """A frame to label.

    Attributes:
        pixels: uint8 `(H, W, 3)`, RGB, upright.
        remark: What had to be done to it that a person should know, `TRANSPARENT` or `SCALED`;
            None if nothing.
    """

    pixels: np.ndarray
    remark: str | None


def read_frame(path: Path, content: bytes | None = None) -> Frame:
    """Read a frame to label, of any mode, upright by its EXIF orientation.

    Of an animation or a file of several pages, the first.

    Args:
        path: File of one of `FORMATS`, whatever its ending; HEIC needs the extra `heic`.
        content: Bytes of the file, if they do not come from the disk.

    Raises:
        BadFile: if the file is missing, unreadable, broken, or no image.
    """
    with opened(path, content, _formats(path, content)) as image:
        remark: str | None = None
        is_deep = ";16" in raw_mode(image)
        # Pillow and OpenCV turn TIFF files themselves; their orientation is gone once loaded.
        image.load()
        turned = orientation(image)
        if image.mode.startswith(("I", "F")):
            gray = _by_range(np.nan_to_num(np.asarray(image), posinf=0, neginf=0))
            pixels, remark = np.dstack([gray] * 3), SCALED
        elif is_deep:
            pixels, remark = _to_rgb(_of_16_bits(path, content)), SCALED
        else:
            pixels = _to_rgb(image)
            if _is_transparent(image):
                remark = TRANSPARENT
    return Frame(np.ascontiguousarray(_upright(pixels, turned)), remark)


def frame_size(path: Path, content: bytes | None = None) -> int:
    """Pixels of a frame to label, from the file's head alone.

    Args:
        path: As of `read_frame`.
        content: As of `read_frame`.

    Raises:
        BadFile: if it is missing, unreadable, no image, or too large; whether it is broken further
            down shows when it is read.
    """
    with opened(path, content, _formats(path, content)) as image:
        return image.width * image.height


def is_image(path: Path) -> bool:
    """Whether a file is an image: by its name, else by its content."""
    if path.suffix.lower() in IMAGE_SUFFIXES:
        return True
    try:
        return frame_size(path) > 0
    except BadFile:
        return False


def walk(folder: Path, leave_out: Path | None = None) -> list[Path]:
    """Files in a folder and its subfolders, in the order of their paths, without hidden ones.

    What is passed over, hidden files and folders and links to folders, is counted in a warning.

    Args:
        folder: Folder.
        leave_out: Folder whose files are left out, if it lies in `folder`.

    Raises:
        OSError: if a folder cannot be read.
    """

    def fail(error: OSError) -> None:
        raise error

    found: list[Path] = []
    passed: list[Path] = []
    without = leave_out and leave_out.resolve()
    for parent, folders, names in os.walk(folder, onerror=fail):
        below = [Path(parent, name) for name in folders]
        kept = [f for f in below if not f.name.startswith(".") and not f.is_symlink()]
        folders[:] = [f.name for f in kept if f.resolve() != without]
        passed += [f for f in below if f.name not in folders]
        for file in (Path(parent, name) for name in names):
            usable = not file.name.startswith(".") and file.is_file()
            (found if usable else passed).append(file)
    pass_over(folder, passed, "hidden, links to folders, no regular files, or of the results")
    return sorted(found)


def pass_over(folder: Path, files: list[Path], why: str) -> None:
    """Warns of files in a folder that are not read, with the first of them."""
    if files:
        first = shown(min(files).relative_to(folder))
        several = f"{len(files)} files or folders" if len(files) > 1 else "one file or folder"
        _LOGGER.warning("%s: passed over %s (%s), first %s", shown(folder), several, why, first)


def _formats(path: Path, content: bytes | None = None) -> tuple[str, ...]:
    """The formats to try; registers that of HEIC with Pillow for a file that is one."""
    start = content or b""
    # Opening a pipe would wait for its other end.
    if content is None and os.path.isfile(path):
        # What is wrong with the file is said by whoever opens it.
        with contextlib.suppress(OSError), path.open("rb") as file:
            start = file.read(12)
    if start[4:8] == b"ftyp" and start[8:12] in HEIC_BRANDS:
        try:
            require("pillow_heif", "heic").register_heif_opener()
        except AsapError as error:
            raise BadFile(path, f"a HEIC image: {error}") from error
    Image.init()
    return tuple(name for name in FORMATS if name in Image.OPEN)


def _is_transparent(image: Image.Image) -> bool:
    if not image.has_transparency_data:
        return False
    return image.convert("RGBA").getchannel("A").getextrema() != (255, 255)


def _to_rgb(image: Image.Image) -> np.ndarray:
    """Pixels, uint8 `(H, W, 3)`, over black, as they are stored."""
    if image.mode == "LAB":
        lab, rgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
        return np.asarray(ImageCms.profileToProfile(image, lab, rgb, outputMode="RGB"))
    if image.has_transparency_data:
        # Premultiplied by its opacity, which is what is seen over black.
        return np.asarray(image.convert("RGBA").convert("RGBa"))[..., :3]
    return np.asarray(image if image.mode == "RGB" else image.convert("RGB"))


def _of_16_bits(path: Path, content: bytes | None) -> Image.Image:
    """An image in color, or with transparency, of which Pillow would keep the upper 8 bits."""
    data = path.read_bytes() if content is None else content
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels is None or pixels.ndim != 3:
        raise ValueError("its 16 bits a channel cannot be decoded")
    image = Image.fromarray(_by_range(pixels[..., 2::-1]))
    if pixels.shape[2] == 4:
        image.putalpha(Image.fromarray((pixels[..., 3] // 257).astype(np.uint8)))
    return image


def _by_range(values: np.ndarray) -> np.ndarray:
    """Values of any type as uint8: their smallest becomes 0, their largest 255."""
    flat = np.ascontiguousarray(values).reshape(len(values), -1)
    flat = flat if flat.dtype == np.uint16 else flat.astype(np.float32)
    scaled = cv2.normalize(flat, np.empty_like(flat, np.uint8), 0, 255, cv2.NORM_MINMAX, cv2.CV_8U)
    return np.asarray(scaled).reshape(values.shape)


def _upright(pixels: np.ndarray, turned: int) -> np.ndarray:
    """Pixels turned and mirrored as the EXIF orientation, 1 to 8, asks."""
    if turned in (5, 6, 7, 8):
        pixels = pixels.swapaxes(0, 1)
    if turned in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if turned in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return pixels
