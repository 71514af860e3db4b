from __future__ import annotations

import io
import struct
import sys
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image, ImageOps

from asap_tf.data.frames import SCALED, TRANSPARENT, is_image, read_frame, walk
from asap_tf.data.images import BadFile

COLOR = np.random.default_rng(0).integers(0, 256, (24, 32, 3), dtype=np.uint8)
GRAY = np.random.default_rng(1).integers(0, 256, (24, 32), dtype=np.uint8)
ALPHA = np.linspace(0, 255, 24 * 32).astype(np.uint8).reshape(24, 32)
DEEP = np.random.default_rng(2).integers(300, 4000, (24, 32, 3), dtype=np.uint16)


def exif(orientation: int) -> Image.Exif:
    tags = Image.Exif()
    tags[0x0112] = orientation
    return tags


def chunk(kind: bytes, data: bytes) -> bytes:
    crc = struct.pack(">I", zlib.crc32(kind + data))
    return struct.pack(">I", len(data)) + kind + data + crc


def deep_png(pixels: np.ndarray, orientation: int = 1) -> bytes:
    """A 16-bit PNG file, RGB or RGBA, which Pillow cannot write."""
    stored = pixels[..., [2, 1, 0, 3][: pixels.shape[2]]]
    data = cv2.imencode(".png", stored)[1].tobytes()
    end = data.rindex(b"IEND") - 4
    return data[:end] + chunk(b"eXIf", exif(orientation).tobytes()[6:]) + data[end:]


def deep_tiff(pixels: np.ndarray, orientation: int = 1) -> bytes:
    """A 16-bit RGB TIFF file, uncompressed."""
    height, width, _ = pixels.shape
    bits, data = 8 + 2 + 10 * 12 + 4, 8 + 2 + 10 * 12 + 4 + 6
    shorts = [(256, width), (257, height), (258, bits), (259, 1), (262, 2), (273, data)]
    shorts += [(274, orientation), (277, 3), (278, height), (279, pixels.nbytes)]
    entries = b"".join(
        struct.pack("<HHII", tag, 4 if tag in (273, 279) else 3, 3 if tag == 258 else 1, value)
        for tag, value in shorts
    )
    head = struct.pack("<2sHIH", b"II", 42, 8, 10) + entries + bytes(4)
    return head + struct.pack("<3H", 16, 16, 16) + pixels.astype("<u2").tobytes()


def by_range(values: np.ndarray) -> np.ndarray:
    low, high = float(values.min()), float(values.max())
    return np.rint((values - low) / (high - low) * 255)


def saved(path: Path, image: Image.Image, **options: object) -> Path:
    image.save(path, **options)
    return path


def test_every_mode_becomes_rgb(tmp_path: Path) -> None:
    color, gray, alpha = map(Image.fromarray, (COLOR, GRAY, ALPHA))
    over_black = np.rint(COLOR * (ALPHA[..., None] / 255))
    palette = color.quantize(16)
    thermal = GRAY.astype(np.uint16) * 3 + 7000
    floating = GRAY.astype(np.float32) / 300
    floating[0, :2] = np.nan, np.inf
    holes = np.where(np.isfinite(floating), floating, 0)
    three = GRAY[..., None].repeat(3, -1)
    solid = Image.merge("RGBA", [*color.split(), Image.new("L", color.size, 255)])
    cut_out = Image.new("P", (32, 24), 1)
    cut_out.putpalette([9, 9, 9, 200, 100, 50])
    cut_out.paste(0, (0, 0, 16, 24))
    left_out = np.zeros((24, 32, 3))
    left_out[:, 16:] = 200, 100, 50
    deep_rgba = np.dstack([DEEP, ALPHA.astype(np.uint16) * 257])
    cases = [
        ("l.png", gray, {}, three, None),
        ("l.jpg", gray, {"quality": 100}, three, None),
        ("1.png", gray.convert("1"), {}, np.asarray(gray.convert("1"))[..., None] * 255, None),
        ("la.png", Image.merge("LA", [gray, alpha]), {}, three * (ALPHA[..., None] / 255), "over"),
        ("p.png", palette, {}, np.asarray(palette.convert("RGB")), None),
        ("p.gif", palette, {}, np.asarray(palette.convert("RGB")), None),
        ("trns.png", cut_out, {"transparency": 0}, left_out, "over"),
        ("rgba.png", Image.merge("RGBA", [*color.split(), alpha]), {}, over_black, "over"),
        ("solid.png", solid, {}, COLOR, None),
        ("rgba.webp", solid, {"lossless": True}, COLOR, None),
        ("cmyk.tif", color.convert("CMYK"), {}, COLOR, None),
        ("cmyk.jpg", color.convert("CMYK"), {"quality": 100, "subsampling": 0}, COLOR, None),
        ("ycc.tif", color.convert("YCbCr"), {}, COLOR, None),
        ("i16.png", Image.fromarray(thermal), {}, by_range(thermal)[..., None], "range"),
        ("i16.tif", Image.fromarray(thermal), {}, by_range(thermal)[..., None], "range"),
        ("f.tif", Image.fromarray(floating), {}, by_range(holes)[..., None], "range"),
        ("i.tif", Image.fromarray(thermal.astype(np.int32)), {}, by_range(thermal)[..., None], "r"),
        ("a.ppm", color, {}, COLOR, None),
        ("a.bmp", color, {}, COLOR, None),
        ("deep.png", deep_png(DEEP), {}, by_range(DEEP), "range"),
        ("deep.tif", deep_tiff(DEEP), {}, by_range(DEEP), "range"),
        ("deep_a.png", deep_png(deep_rgba), {}, by_range(DEEP) * (ALPHA[..., None] / 255), "range"),
    ]
    remarks = {"over": TRANSPARENT, "range": SCALED, "r": SCALED, None: None}
    for name, image, options, expected, remark in cases:
        path = tmp_path / name
        if isinstance(image, bytes):
            path.write_bytes(image)
        else:
            saved(path, image, **options)
        found = read_frame(path)
        assert found.pixels.dtype == np.uint8 and found.pixels.shape == COLOR.shape, name
        assert found.pixels.flags.c_contiguous and found.remark == remarks[remark], name
        off = np.abs(found.pixels - expected.astype(float)).max()
        assert off <= (3 if "jpg" in name or "ycc" in name else 1), (name, off)
        assert np.array_equal(read_frame(Path("x"), path.read_bytes()).pixels, found.pixels)


def test_lab_keeps_its_lightness(tmp_path: Path) -> None:
    image = Image.merge("LAB", [Image.new("L", (8, 8), value) for value in (128, 128, 128)])
    pixels = read_frame(saved(tmp_path / "lab.tif", image)).pixels
    # L* of 50 is an sRGB gray of 119.
    assert np.abs(pixels.astype(int) - 119).max() <= 2


@pytest.mark.parametrize("kind", ["jpg", "png", "webp", "tif", "avif", "deep png", "deep tif"])
def test_frames_are_upright_by_their_orientation(tmp_path: Path, kind: str) -> None:
    Image.init()
    if kind == "avif" and "AVIF" not in Image.SAVE:
        pytest.skip("this Pillow has no AVIF")
    blocks = np.kron(COLOR[:3, :4], np.ones((8, 8, 1))).astype(np.uint8)
    path = tmp_path / f"turned.{kind.split()[-1]}"
    for orientation in range(1, 9):
        if kind.startswith("deep"):
            make = deep_png if kind == "deep png" else deep_tiff
            path.write_bytes(make(blocks.astype(np.uint16) * 257, orientation))
        else:
            options = {"lossless": True} if kind == "webp" else {"quality": 95}
            saved(path, Image.fromarray(blocks), exif=exif(orientation), **options)
        file = io.BytesIO()
        Image.fromarray(blocks).save(file, "PNG", exif=exif(orientation))
        expected = np.asarray(ImageOps.exif_transpose(Image.open(file)))
        expected = by_range(expected) if kind.startswith("deep") else expected
        found = read_frame(path).pixels
        assert found.shape == expected.shape, orientation
        assert np.abs(found - expected.astype(float)).mean() < 6, orientation


def test_a_nonsensical_orientation_is_none(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.png", Image.fromarray(COLOR), exif=exif(77))
    np.testing.assert_array_equal(read_frame(path).pixels, COLOR)


def test_heic_is_told_what_it_needs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "IMG_0001.jpg"
    path.write_bytes(b"\0\0\0\x1cftypheic\0\0\0\0mif1heic")
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    with pytest.raises(BadFile) as error:
        read_frame(path)
    assert str(error.value).startswith(f"{path}: a HEIC image: pillow_heif is")


def test_heic(tmp_path: Path) -> None:
    heif = pytest.importorskip("pillow_heif")
    heif.register_heif_opener()
    smooth = cv2.resize(COLOR[:3, :4], (64, 48))
    # Its orientation is the container's, which libheif applies; that of its EXIF does not count.
    path = saved(tmp_path / "a.heic", Image.fromarray(smooth), quality=95, exif=exif(6))
    path = path.rename(tmp_path / "a.jpg")
    found = read_frame(path)
    assert found.pixels.shape == (48, 64, 3) and found.remark is None
    assert np.abs(found.pixels - smooth.astype(float)).mean() < 6


def test_what_is_no_image_or_too_large_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_text("<html>")
    # Encapsulated PostScript would be run.
    (tmp_path / "a.eps").write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n")
    whole = saved(tmp_path / "whole.jpg", Image.fromarray(COLOR)).read_bytes()
    (tmp_path / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    large = bytearray(deep_png(DEEP))
    large[16:24] = struct.pack(">II", 9000, 9000)
    large[29:33] = struct.pack(">I", zlib.crc32(large[12:29]))
    (tmp_path / "large.png").write_bytes(large)
    for name, said in [
        ("none.png", "no such file"),
        ("a.png", "not an image; one of PNG, JPEG, "),
        ("a.eps", "not an image; one of PNG, JPEG, "),
        ("cut.jpg", "broken ("),
        ("large.png", "9000 x 9000 pixels; at most 64 million are read"),
    ]:
        with pytest.raises(BadFile) as error:
            read_frame(tmp_path / name)
        assert str(error.value).startswith(f"{tmp_path / name}: {said}")
    assert is_image(tmp_path / "a.png") and not is_image(tmp_path / "a.eps")
    (tmp_path / "whole").write_bytes(whole)
    assert is_image(tmp_path / "whole")
    (tmp_path / "photo.png").write_bytes(whole)
    assert read_frame(tmp_path / "photo.png").pixels.shape == COLOR.shape


def test_a_folder_is_walked_without_what_is_hidden(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("b.png", "a/c.png", "a.png", ".h.png", ".git/x.png", "a/out/y.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "a" / "back").symlink_to(tmp_path)
    found = [str(f.relative_to(tmp_path)) for f in walk(tmp_path, leave_out=tmp_path / "a/out")]
    assert found == [str(Path("a/c.png")), "a.png", "b.png"]
    (message,) = caplog.messages
    assert message.startswith(f"{tmp_path}: passed over 4 files or folders (hidden")
    caplog.clear()
    assert walk(tmp_path / "a" / "out") == [tmp_path / "a" / "out" / "y.png"]
    assert not caplog.messages
