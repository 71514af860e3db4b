"""Reading a dataset's frames and masks strictly, and writing images whole or not at all.

Nothing is converted silently: a frame is 8-bit RGB or an error, since a gray or 16-bit frame among
color frames is far more often an accident than an intention. An EXIF orientation is not applied:
a mask has none, and rotating the frame alone would misalign the two. Frames to label are read by
`asap_tf.data.frames`.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageFile, UnidentifiedImageError

from asap_tf.core.errors import AsapError, UsageError, first_line, shown
from asap_tf.core.files import written_whole
from asap_tf.data.dataset import MaskEncoding, Pair

# For a damaged TIFF, Pillow warns in addition to the error that is raised here.
warnings.filterwarnings("ignore", module=r"PIL\.TiffImagePlugin")

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "TIFF")
MOST_PIXELS = 64_000_000
"""More than any camera frame; without a limit, a small file could take all the memory."""

_PNG = [cv2.IMWRITE_PNG_COMPRESSION, 1]
if hasattr(cv2, "IMWRITE_PNG_FILTER"):  # Since OpenCV 4.11.
    # Trying all filters on every row takes two to three times as long, for as many bytes.
    _PNG += [cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_UP]

_MODES = {
    "1": "a 1-bit image",
    "L": "a gray image",
    "LA": "a gray image with transparency",
    "P": "a palette image",
    "RGB": "an RGB image",
    "RGBA": "an RGBA image",
    "CMYK": "a CMYK image",
    "F": "a floating-point image",
    "I": "a 32-bit gray image",
}


class BadFile(AsapError):
    """A file of a dataset that cannot be used.

    Attributes:
        path: The file.
        problem: What it is, what is wanted, and what to do, in one line.
    """

    def __init__(self, path: Path, problem: str) -> None:
        super().__init__(f"{shown(path)}: {problem}")
        self.path = path
        self.problem = problem


class TooManyPixels(BadFile):
    """An image with more pixels than are read."""


def read_image(path: Path, content: bytes | None = None) -> np.ndarray:
    """Read a frame.

    Args:
        path: PNG, JPEG, WebP, BMP or TIFF file.
        content: Bytes of the file, if they do not come from the disk.

    Returns:
        uint8 `(H, W, 3)`, RGB, 0..255, as stored: an EXIF orientation is not applied.

    Raises:
        BadFile: if the file is missing, unreadable, broken or anything but 8-bit RGB.
    """
    with opened(path, content) as image:
        kind = _describe(image)
        if kind != _MODES["RGB"]:
            convert = f"cv2.imwrite('NEW.png', cv2.imread('{shown(path.name)}'))"
            raise BadFile(
                path, f'{kind}; 8-bit RGB is needed: python -c "import cv2; {convert}" converts it'
            )
        return np.asarray(image)


def read_mask(path: Path, encoding: MaskEncoding) -> np.ndarray:
    """Read a mask.

    Args:
        path: 8-bit gray, palette or 1-bit file for masks of ids; RGB, RGBA or palette for colors.
        encoding: Encoding of the dataset's masks, `Dataset.encoding`.

    Returns:
        Train ids, uint8 `(H, W)`, 255 where ignored.

    Raises:
        BadFile: if the file is missing, unreadable, broken, of another kind, or holds ids or
            colors outside the table.
    """
    with opened(path) as image:
        kind = _describe(image)
        if encoding.mode == "RGB":
            if kind not in (_MODES["RGB"], _MODES["RGBA"], _MODES["P"]):
                raise BadFile(
                    path,
                    f"{kind}; a mask of RGB colors is needed: "
                    "export it in colors, or describe the dataset with index masks",
                )
            raw = np.asarray(image if image.mode == "RGB" else image.convert("RGB"))
        else:
            if kind not in (_MODES["L"], _MODES["P"], _MODES["1"]):
                raise BadFile(
                    path,
                    f"{kind}; a mask of class ids is needed, 8-bit gray or palette: "
                    "export it as ids, or describe the dataset with color masks",
                )
            raw = np.asarray(image, np.uint8)
    try:
        return encoding.decode(raw)
    except ValueError as error:
        raise BadFile(path, str(error)) from None


def read_pair(pair: Pair, encoding: MaskEncoding) -> tuple[np.ndarray, np.ndarray]:
    """Read a frame and its mask.

    Returns:
        Frame, uint8 `(H, W, 3)` RGB, and train ids, uint8 `(H, W)`.

    Raises:
        BadFile: if either file is bad, or they differ in size.
        UsageError: if the pair has no mask.
    """
    if pair.mask is None:
        raise UsageError(f"{pair.image}: has no mask, its split's truth is not public")
    image, mask = read_image(pair.image), read_mask(pair.mask, encoding)
    check_size(pair, mask, image)
    return image, mask


def check_size(pair: Pair, mask: np.ndarray, image: np.ndarray) -> None:
    """Compare the sizes of a pair's mask, uint8 `(H, W)`, and its frame, uint8 `(H, W, 3)`.

    Raises:
        BadFile: if they differ.
    """
    (height, width), (frame_height, frame_width) = mask.shape, image.shape[:2]
    if (height, width) == (frame_height, frame_width):
        return
    sizes = f"{width} x {height} pixels, but its frame has {frame_width} x {frame_height}"
    with opened(pair.image) as frame:
        turned = orientation(frame) > 4
    if turned and (height, width) == (frame_width, frame_height):
        name = shown(pair.image.name)
        upright = f"ImageOps.exif_transpose(Image.open('{name}')).save('NEW.png')"
        raise BadFile(
            pair.mask or pair.image,
            f"{sizes} and an EXIF orientation, which no training applies: store the frame upright, "
            f'python -c "from PIL import Image, ImageOps; {upright}" does',
        )
    raise BadFile(
        pair.mask or pair.image, f"{sizes}; give both the same size, the mask by nearest neighbor"
    )


def orientation(image: ImageFile.ImageFile) -> int:
    """EXIF orientation, 1 to 8: above 4 the stored rows are columns of the upright image."""
    value = image.getexif().get(0x0112, 1)
    return value if value in range(1, 9) else 1


def write_image(path: Path, array: np.ndarray) -> None:
    """Write a PNG, JPEG or WebP file, by its ending, whole or not at all.

    PNG is without loss, and little compressed: that takes a tenth of the time.

    Args:
        path: File to write, in a folder that exists.
        array: uint8 `(H, W)` or `(H, W, 3)` RGB, or, for PNG, uint16 `(H, W)`.

    Raises:
        AsapError: if it cannot be written: no such folder, read-only, or full; or larger than the
            format allows.
    """
    with written_whole(path) as aside:
        try:
            aside.write_bytes(encode_image(array, path.suffix.removeprefix(".")))
        except ValueError as error:
            raise AsapError(f"{path}: cannot be written ({first_line(error)})") from error


def encode_image(array: np.ndarray, ending: str) -> bytes:
    """The content of an image file.

    Args:
        array: As of `write_image`.
        ending: `"png"`, `"jpg"` or `"webp"`.

    Raises:
        ValueError: for another ending, or if the image is larger than the format allows.
    """
    if ending == "png":
        stored = array if array.ndim == 2 else cv2.cvtColor(array, cv2.COLOR_RGB2BGR)
        return cv2.imencode(".png", stored, _PNG)[1].tobytes()
    file = io.BytesIO()
    kind = Image.registered_extensions().get(f".{ending.lower()}")
    Image.fromarray(array).save(file, kind, quality=92)
    return file.getvalue()


@contextmanager
def opened(
    path: Path, content: bytes | None = None, formats: tuple[str, ...] = FORMATS
) -> Iterator[ImageFile.ImageFile]:
    """An image, open as long as the context lasts; any error of decoding in it is a `BadFile`.

    Args:
        path: The file.
        content: Its bytes, if they do not come from the disk.
        formats: Names of Pillow's formats that it may have.

    Raises:
        BadFile: if it is missing, unreadable, no image, broken, or of too many pixels.
    """
    try:
        if (path.stat().st_size if content is None else len(content)) == 0:
            raise BadFile(path, "an empty file (0 bytes); copy or download it again")
        file = path if content is None else io.BytesIO(content)
        with Image.open(file, formats=formats) as image:
            width, height = image.size
            if width * height > MOST_PIXELS:
                raise TooManyPixels(path, f"{width} x {height} pixels; {_TOO_LARGE}")
            yield image
    except FileNotFoundError:
        raise BadFile(path, "no such file") from None
    except UnidentifiedImageError:
        raise BadFile(path, f"not an image; one of {', '.join(formats)} is needed") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise TooManyPixels(path, f"more pixels than any frame; {_TOO_LARGE}") from None
    except BadFile:
        raise
    except Exception as error:
        # On damaged files decoders raise errors of nearly any kind.
        if isinstance(error, OSError) and error.errno is not None:
            raise BadFile(path, f"cannot be read ({error.strerror})") from None
        raise BadFile(path, f"broken ({first_line(error)}); copy or download it again") from None


_TOO_LARGE = f"at most {MOST_PIXELS // 10**6} million are read: give a smaller image"


def raw_mode(image: ImageFile.ImageFile) -> str:
    """How an image that is not loaded yet is stored, such as `"RGB;16B"`; empty if unknown.

    Pillow silently reduces 16-bit RGB to 8 bits; only this shows it.
    """
    arguments = image.tile[0][3] if image.tile else None
    return str((arguments[0] if isinstance(arguments, tuple) else arguments) or "")


def _describe(image: ImageFile.ImageFile) -> str:
    if ";16" in raw_mode(image):
        return "a 16-bit image"
    return _MODES.get(image.mode, f"an image of mode {image.mode}")
