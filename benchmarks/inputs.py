"""Frames as people have them: each made here, and labeled by the function of `asap-tf predict`.

    python benchmarks/inputs.py [--photo street.jpg] [--model asap_resnet18_half_street]

Without a photo a rendered street takes its place. Needs the extra `heic`.
"""

from __future__ import annotations

import argparse
import logging
import re
import tempfile
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import av
import cv2
import numpy as np
import pillow_heif
from PIL import Image

import asap_tf
from asap_tf.core.errors import AsapError
from asap_tf.data.frames import read_frame
from asap_tf.inference.files import predict_inputs
from asap_tf.streets import render

FRAMES = 4
"""Of each video."""

_STORED: dict[int, Callable[[np.ndarray], np.ndarray]] = {
    1: lambda x: x,
    2: np.fliplr,
    3: lambda x: np.rot90(x, 2),
    4: np.flipud,
    5: lambda x: x.swapaxes(0, 1),
    6: np.rot90,
    7: lambda x: np.rot90(x.swapaxes(0, 1), 2),
    8: lambda x: np.rot90(x, -1),
}
"""How a camera stores an upright picture, by the EXIF orientation that it writes."""


class Case(NamedTuple):
    """An input: what it is, the file or folder, and the file whose labels are compared."""

    what: str
    path: Path
    result: str


def images(photo: np.ndarray, folder: Path) -> Iterator[Case]:
    color = Image.fromarray(photo)
    gray = color.convert("L")
    high, wide = photo.shape[:2]
    left = Image.new("L", color.size, 255)
    left.paste(0, (0, 0, wide // 8, high))
    clear = Image.merge("RGBA", [*color.split(), left])
    thermal = np.asarray(gray).astype(np.uint16) * 3 + 7000
    palette = color.quantize(256)
    deep = cv2.imencode(".png", photo[..., ::-1].astype(np.uint16) * 257)[1].tobytes()
    lab = cv2.cvtColor(photo, cv2.COLOR_RGB2LAB)
    lab[..., 1:] = (lab[..., 1:].astype(int) - 128).astype(np.uint8)
    animation: dict[str, Any] = {"save_all": True, "append_images": [color.rotate(180)]}
    cases: list[tuple[str, str, Image.Image | bytes, dict[str, Any]]] = [
        ("PNG, RGB", "a.png", color, {}),
        ("PNG, gray", "a.png", gray, {}),
        ("PNG, 1 bit", "a.png", gray.convert("1"), {}),
        ("PNG, a palette", "a.png", palette, {}),
        ("PNG, a palette, one color transparent", "a.png", palette, {"transparency": 0}),
        ("PNG, RGBA, opaque", "a.png", color.convert("RGBA"), {}),
        ("PNG, RGBA, an eighth transparent", "a.png", clear, {}),
        ("PNG, gray and transparency", "a.png", Image.merge("LA", [gray, left]), {}),
        ("PNG, gray, 16 bits: thermal, 7000 to 7765", "a.png", Image.fromarray(thermal), {}),
        ("PNG, RGB, 16 bits", "a.png", deep, {}),
        ("JPEG", "a.jpg", color, {"quality": 95}),
        ("JPEG, gray", "a.jpg", gray, {"quality": 95}),
        ("JPEG, CMYK", "a.jpg", color.convert("CMYK"), {"quality": 95}),
        ("JPEG called .png", "a.png", color, {"quality": 95, "format": "JPEG"}),
        ("JPEG without an ending", "photo", color, {"quality": 95, "format": "JPEG"}),
        ("WebP", "a.webp", color, {"quality": 95}),
        ("BMP", "a.bmp", color, {}),
        ("TIFF, LZW", "a.tif", color, {"compression": "tiff_lzw"}),
        ("TIFF, 16 bits, gray", "a.tiff", Image.fromarray(thermal), {}),
        ("TIFF, floating point", "a.tif", Image.fromarray(np.asarray(gray) / np.float32(255)), {}),
        ("TIFF, CMYK", "a.tif", color.convert("CMYK"), {}),
        ("TIFF, LAB", "a.tif", Image.fromarray(lab, "LAB"), {}),
        ("TIFF of two pages", "a.tif", color, animation),
        ("PPM", "a.ppm", color, {}),
        ("GIF", "a.gif", color, {}),
        ("AVIF", "a.avif", color, {"quality": 90}),
        ("JPEG 2000", "a.jp2", color, {}),
        ("HEIC", "a.heic", color, {"quality": 90}),
        ("WebP, animated", "a.webp", color, {**animation, "quality": 95}),
    ]
    for orientation, stored in _STORED.items():
        exif = Image.Exif()
        exif[0x0112] = orientation
        turned = Image.fromarray(np.ascontiguousarray(stored(photo)))
        what = f"JPEG, EXIF orientation {orientation}"
        cases.append((what, "a.jpg", turned, {"quality": 95, "exif": exif}))
    for number, (what, name, image, options) in enumerate(cases):
        path = folder / f"{number}" / name
        path.parent.mkdir()
        if isinstance(image, bytes):
            path.write_bytes(image)
        else:
            image.save(path, **options)
        yield Case(what, path, f"{path.stem}.png")


def write_video(
    path: Path, photo: np.ndarray, codec: str, format: str, times: list[int], sound: bool = False
) -> None:
    """The photo, at so many hundredths of a second."""
    with av.open(str(path), "w", format=format) as container:
        stream: Any = container.add_stream(codec, rate=25)
        stream.height, stream.width = photo.shape[:2]
        stream.pix_fmt = {"mjpeg": "yuvj420p", "gif": "rgb8"}.get(codec, "yuv420p")
        if codec != "gif":
            stream.bit_rate = 8_000_000
        tone: Any = container.add_stream("aac", rate=48_000, layout="mono") if sound else None
        for time in times:
            frame = av.VideoFrame.from_ndarray(photo)
            frame.pts, frame.time_base = 4 * time, Fraction(1, 100)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
        if sound:
            wave = np.sin(np.arange(48_000) / 20)[None].astype(np.float32)
            samples = av.AudioFrame.from_ndarray(wave, format="fltp", layout="mono")
            samples.sample_rate, samples.pts = 48_000, 0
            container.mux([*tone.encode(samples), *tone.encode(None)])


def turn_clockwise(path: Path) -> None:
    """Writes a turn into the head of an MP4 file, as phones do."""
    content = path.read_bytes()
    identity = np.array([1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30], ">i4").tobytes()
    clockwise = np.array([0, 1 << 16, 0, -1 << 16, 0, 0, 0, 0, 1 << 30], ">i4").tobytes()
    at = content.index(identity, content.index(b"tkhd"))
    path.write_bytes(content[:at] + clockwise + content[at + len(identity) :])


def videos(photo: np.ndarray, folder: Path) -> Iterator[Case]:
    even, uneven = list(range(FRAMES)), [0, 1, 30, 31]
    cases = [
        ("MP4, H.264, with sound", "a.mp4", "libx264", "mp4", even, True),
        ("MP4 without an ending", "clip", "libx264", "mp4", even, False),
        ("MP4 of a phone held upright", "turned.m4v", "libx264", "mp4", even, False),
        ("MOV", "a.mov", "libx264", "mov", even, False),
        ("MKV of variable rate", "a.mkv", "libx264", "matroska", uneven, False),
        ("WebM, VP9", "a.webm", "libvpx-vp9", "webm", even, False),
        ("AVI, MJPEG", "a.avi", "mjpeg", "avi", even, False),
        ("MPEG transport stream", "a.ts", "libx264", "mpegts", even, False),
        ("the same, of a camcorder", "a.mts", "libx264", "mpegts", even, True),
        ("MPEG 2", "a.mpg", "mpeg2video", "mpeg", even, False),
        ("GIF, animated", "a.gif", "gif", "gif", even, False),
        ("AVI, cut off", "cut.avi", "mjpeg", "avi", list(range(24)), False),
    ]
    for number, (what, name, codec, format, times, sound) in enumerate(cases):
        path = folder / f"{number}" / name
        path.parent.mkdir()
        turned = name.startswith("turned")
        pixels = np.ascontiguousarray(np.rot90(photo)) if turned else photo
        write_video(path, pixels, codec, format, times, sound)
        if turned:
            turn_clockwise(path)
        if name.startswith("cut"):
            content = path.read_bytes()
            path.write_bytes(content[: len(content) // 2])
        yield Case(what, path, f"{path.stem}/000000.png")


def folders(photo: np.ndarray, folder: Path) -> Iterator[Case]:
    color = Image.fromarray(photo)
    cases = {
        "a folder of images": ["b.png", "a.png"],
        "folders in a folder": ["drive/1/a.png", "drive/2/a.png"],
        "hidden files, a text, a link to a folder": ["a.png", ".b.png", "notes.txt", "link"],
        "an image and a video": ["a.png", "clip.mp4"],
        "a broken image among others": ["a.png", "broken.png", "c.png"],
        "two images of one name": ["a.png", "a.jpg"],
        "no image": ["notes.txt"],
    }
    for number, (what, names) in enumerate(cases.items()):
        top = folder / f"{number}" / "photos"
        for path in (top / name for name in names):
            path.parent.mkdir(parents=True, exist_ok=True)
            if path.name == "link":
                path.symlink_to(folder)
            elif path.suffix == ".txt":
                path.write_text("no image")
            elif path.suffix == ".mp4":
                write_video(path, photo, "libx264", "mp4", list(range(FRAMES)))
            else:
                color.save(path)
            if path.name == "broken.png":
                path.write_bytes(path.read_bytes()[:5000])
        yield Case(what, top, names[0])


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--photo", type=Path)
    parser.add_argument("--model", default="asap_resnet18_half_street")
    arguments = parser.parse_args()
    pillow_heif.register_heif_opener()
    photo = read_frame(arguments.photo).pixels if arguments.photo else render(1, 360, 640).image
    photo = photo[: len(photo) // 2 * 2, : photo.shape[1] // 2 * 2]
    segmenter = asap_tf.load(arguments.model)
    plain = segmenter.predict(photo[np.newaxis])[0]
    told: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: told.append(record.getMessage())  # type: ignore[method-assign]
    logging.getLogger("asap_tf").addHandler(handler)
    logging.getLogger("asap_tf").propagate = False

    print("| input | name | label maps | labels as of the first | warnings and errors |")
    print("|---|---|---:|---:|---|")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for make in (images, videos, folders):
            (folder / make.__name__).mkdir()
            for number, case in enumerate(make(photo, folder / make.__name__)):
                told.clear()
                out = folder / make.__name__ / str(number) / "out"
                try:
                    predict_inputs(segmenter, [case.path], out, "ids")
                except AsapError as error:
                    told.append(f"error: {error}")
                written, same = len(list(out.rglob("*.png"))), "-"
                if written:
                    labels = read_frame(out / case.result).pixels[..., 0]
                    assert labels.shape == plain.shape
                    same = f"{(labels == plain).mean():.1%}"
                # Where the temporary folder is says nothing.
                said = re.sub(rf"{re.escape(name)}/\w+/\d+/", "", "; ".join(told))
                print(f"| {case.what} | `{case.path.name}` | {written} | {same} | {said} |")


if __name__ == "__main__":
    main()
