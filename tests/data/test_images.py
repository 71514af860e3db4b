from __future__ import annotations

import errno
import os
import re
import subprocess
import sys
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from asap_tf.core.errors import AsapError, UsageError
from asap_tf.data.dataset import Pair
from asap_tf.data.encodings import ColorEncoding, train_id_encoding
from asap_tf.data.images import BadFile, read_image, read_mask, read_pair, write_image

ENCODING = train_id_encoding(19)
FRAME = np.random.default_rng(0).integers(0, 256, (24, 32, 3), dtype=np.uint8)
MASK = np.random.default_rng(1).integers(0, 19, (24, 32), dtype=np.uint8)


def one_line(error: pytest.ExceptionInfo[AsapError], path: Path) -> str:
    text = str(error.value)
    assert text.startswith(f"{path}: ")
    assert "\n" not in text
    return text.removeprefix(f"{path}: ")


@pytest.mark.parametrize("ending", ["png", "bmp", "tif", "webp"])
def test_a_frame_comes_back_as_it_was(ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"frame.{ending}"
    Image.fromarray(FRAME).save(path, **({"lossless": True} if ending == "webp" else {}))
    np.testing.assert_array_equal(read_image(path), FRAME)


def test_an_exif_orientation_is_not_applied(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(FRAME).save(tmp_path / "turned.jpg", exif=exif)
    assert read_image(tmp_path / "turned.jpg").shape == FRAME.shape


def save_as(mode: str, path: Path) -> None:
    if mode == "16-bit RGB":
        cv2.imwrite(str(path), FRAME[..., ::-1].astype(np.uint16) * 257)
    elif mode == "16-bit gray":
        Image.fromarray(MASK.astype(np.uint16) * 257).save(path)
    elif mode == "float":
        Image.fromarray(MASK.astype(np.float32)).save(path)
    else:
        Image.fromarray(FRAME).convert(mode).save(path)


@pytest.mark.parametrize(
    ("mode", "name", "said"),
    [
        ("16-bit RGB", "a.png", "a 16-bit image"),
        ("16-bit RGB", "a.tif", "a 16-bit image"),
        ("16-bit gray", "a.png", "a 16-bit image"),
        ("L", "a.png", "a gray image"),
        ("L", "a.jpg", "a gray image"),
        ("LA", "a.png", "a gray image with transparency"),
        ("P", "a.png", "a palette image"),
        ("RGBA", "a.png", "an RGBA image"),
        ("1", "a.png", "a 1-bit image"),
        ("CMYK", "a.jpg", "a CMYK image"),
        ("float", "a.tif", "a floating-point image"),
        ("LAB", "a.tif", "an image of mode LAB"),
    ],
)
def test_frames_of_another_kind(mode: str, name: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / name
    if mode == "LAB":
        Image.new("LAB", (8, 8)).save(path)
    else:
        save_as(mode, path)
    with pytest.raises(BadFile) as error:
        read_image(path)
    assert one_line(error, path).startswith(f"{said}; 8-bit RGB is needed: python -c ")


def test_the_command_in_the_message_converts_the_frame(tmp_path: Path) -> None:
    save_as("16-bit RGB", tmp_path / "deep.png")
    with pytest.raises(BadFile) as error:
        read_image(tmp_path / "deep.png")
    code = re.search(r'python -c "(.+)"', str(error.value))
    assert code is not None
    subprocess.run([sys.executable, "-c", code[1]], cwd=tmp_path, check=True)
    np.testing.assert_array_equal(read_image(tmp_path / "NEW.png"), FRAME)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    def said(name: str) -> str:
        with pytest.raises(BadFile) as error:
            read_image(tmp_path / name)
        assert error.value.path == tmp_path / name
        return one_line(error, tmp_path / name)

    assert said("missing.png") == "no such file"
    (tmp_path / "empty.png").touch()
    assert said("empty.png") == "an empty file (0 bytes); copy or download it again"
    (tmp_path / "text.png").write_text("<html>404</html>")
    assert said("text.png") == "not an image; one of PNG, JPEG, WEBP, BMP, TIFF is needed"
    (tmp_path / "folder.png").mkdir()
    assert said("folder.png") == "cannot be read (Is a directory)"
    (tmp_path / "file").touch()
    assert said("file/frame.png") == "cannot be read (Not a directory)"


@pytest.mark.parametrize("ending", ["png", "jpg", "tif", "webp", "bmp"])
@pytest.mark.parametrize("kept", [0.5, 0.95])
def test_truncated_frames(ending: str, kept: float, tmp_path: Path) -> None:
    path = tmp_path / f"cut.{ending}"
    Image.fromarray(FRAME).save(path)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * kept)])
    with pytest.raises(BadFile) as error:
        read_image(path)
    assert re.match("broken .*; copy or download it again|not an image", one_line(error, path))


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("size", [(8200, 8192), (10_000, 10_000), (60_000, 60_000)])
def test_a_small_file_that_claims_all_the_memory(size: tuple[int, int], tmp_path: Path) -> None:
    path = tmp_path / "bomb.png"
    Image.fromarray(FRAME).save(path)
    content = bytearray(path.read_bytes())
    content[16:24] = size[0].to_bytes(4, "big") + size[1].to_bytes(4, "big")
    content[29:33] = zlib.crc32(content[12:29]).to_bytes(4, "big")
    path.write_bytes(content)
    with pytest.raises(BadFile, match="at most 64 million are read: give a smaller image") as error:
        read_image(path)
    assert "pixels" in one_line(error, path)


def test_index_masks_are_gray_or_palette(tmp_path: Path) -> None:
    gray = Image.fromarray(MASK)
    gray.save(tmp_path / "gray.png")
    palette = Image.fromarray(MASK)
    palette.putpalette(list(np.random.default_rng(2).integers(0, 256, 768)))
    palette.save(tmp_path / "palette.png")
    assert Image.open(tmp_path / "palette.png").mode == "P"
    for name in ("gray.png", "palette.png"):
        np.testing.assert_array_equal(read_mask(tmp_path / name, ENCODING), MASK)


def test_color_masks_are_rgb_rgba_or_palette(tmp_path: Path) -> None:
    colors = np.random.default_rng(3).permutation(256 * 3).astype(np.uint8).reshape(256, 3)[:19]
    encoding = ColorEncoding({tuple(map(int, c)): i for i, c in enumerate(colors)})
    rgb = Image.fromarray(colors[MASK])
    palette = Image.fromarray(MASK)
    palette.putpalette(list(colors.ravel()))
    for i, image in enumerate([rgb, rgb.convert("RGBA"), palette]):
        image.save(tmp_path / f"{i}.png")
        np.testing.assert_array_equal(read_mask(tmp_path / f"{i}.png", encoding), MASK)
    Image.fromarray(MASK).save(tmp_path / "gray.png")
    with pytest.raises(BadFile, match="a gray image; a mask of RGB colors is needed"):
        read_mask(tmp_path / "gray.png", encoding)


@pytest.mark.parametrize(
    ("mode", "said"),
    [
        ("16-bit gray", "a 16-bit image"),
        ("RGB", "an RGB image"),
        ("RGBA", "an RGBA image"),
    ],
)
def test_index_masks_of_another_kind(mode: str, said: str, tmp_path: Path) -> None:
    save_as(mode, tmp_path / "mask.png")
    with pytest.raises(BadFile) as error:
        read_mask(tmp_path / "mask.png", ENCODING)
    text = one_line(error, tmp_path / "mask.png")
    assert text.startswith(f"{said}; a mask of class ids is needed, 8-bit gray or palette: ")


def test_a_1_bit_mask_holds_0_and_1(tmp_path: Path) -> None:
    Image.fromarray(MASK > 3).save(tmp_path / "mask.png")
    assert Image.open(tmp_path / "mask.png").mode == "1"
    np.testing.assert_array_equal(read_mask(tmp_path / "mask.png", ENCODING), MASK > 3)


def test_ids_outside_the_table(tmp_path: Path) -> None:
    mask = MASK.copy()
    mask[3, 4], mask[5, 6] = 19, 200
    Image.fromarray(mask).save(tmp_path / "mask.png")
    with pytest.raises(BadFile) as error:
        read_mask(tmp_path / "mask.png", ENCODING)
    text = one_line(error, tmp_path / "mask.png")
    assert text.startswith("holds ids outside the class table: 19, 200; correct the mask, or")


def test_pairs(tmp_path: Path) -> None:
    pair = Pair(tmp_path / "frame.png", tmp_path / "mask.png")
    write_image(pair.image, FRAME)
    write_image(tmp_path / "mask.png", MASK)
    image, mask = read_pair(pair, ENCODING)
    np.testing.assert_array_equal(image, FRAME)
    np.testing.assert_array_equal(mask, MASK)

    write_image(tmp_path / "mask.png", MASK[:, :31])
    with pytest.raises(BadFile) as error:
        read_pair(pair, ENCODING)
    assert one_line(error, tmp_path / "mask.png").startswith(
        "31 x 24 pixels, but its frame has 32 x 24; give both the same size"
    )
    with pytest.raises(UsageError, match=r"frame.png: has no mask"):
        read_pair(Pair(pair.image, None), ENCODING)


def test_a_frame_stored_sideways_is_told_as_such(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    pair = Pair(tmp_path / "frame.png", tmp_path / "mask.png")
    Image.fromarray(FRAME).save(pair.image, exif=exif)
    write_image(tmp_path / "mask.png", np.rot90(MASK, -1))
    with pytest.raises(BadFile) as error:
        read_pair(pair, ENCODING)
    text = one_line(error, tmp_path / "mask.png")
    assert text.startswith("24 x 32 pixels, but its frame has 32 x 24 and an EXIF orientation")
    code = re.search(r'python -c "(.+)" does', text)
    assert code is not None
    subprocess.run([sys.executable, "-c", code[1]], cwd=tmp_path, check=True)
    image, mask = read_pair(Pair(tmp_path / "NEW.png", pair.mask), ENCODING)
    np.testing.assert_array_equal(image, np.rot90(FRAME, -1))
    # Without the orientation, or with a mask that fits neither way, the sizes alone are told.
    Image.fromarray(FRAME).save(pair.image)
    with pytest.raises(BadFile, match="but its frame has 32 x 24; give both the same size"):
        read_pair(pair, ENCODING)


@pytest.mark.parametrize("array", [FRAME, MASK, MASK.astype(np.uint16) * 1000])
def test_png_files_are_written_whole(array: np.ndarray, tmp_path: Path) -> None:
    path = tmp_path / "out.png"
    path.write_text("older")
    write_image(path, array)
    stored = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(stored if array.ndim == 2 else stored[..., ::-1], array)
    assert os.listdir(tmp_path) == ["out.png"]


def test_pictures_are_written_by_their_ending(tmp_path: Path) -> None:
    smooth = cv2.resize(FRAME[:3, :4], (64, 48))
    for ending, kind in (("jpg", "JPEG"), ("webp", "WEBP"), ("png", "PNG")):
        write_image(tmp_path / f"a.{ending}", smooth)
        with Image.open(tmp_path / f"a.{ending}") as image:
            assert image.format == kind
            off = np.abs(np.asarray(image) - smooth.astype(float)).mean()
            assert off == 0 if kind == "PNG" else 0 < off < 3
    with pytest.raises(AsapError, match=r"b.webp: cannot be written \(.*WebP"):
        write_image(tmp_path / "b.webp", np.zeros((1, 20000, 3), np.uint8))
    assert {path.suffix for path in tmp_path.iterdir()} == {".jpg", ".webp", ".png"}
    assert not (tmp_path / "b.webp").exists()


def test_a_full_disk_leaves_the_older_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, _: bytes) -> None:
        path.touch()
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    path = tmp_path / "out.png"
    path.write_text("older")
    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(AsapError) as error:
        write_image(path, FRAME)
    assert one_line(error, path) == "cannot be written (No space left on device)"
    assert path.read_text() == "older"
    assert os.listdir(tmp_path) == ["out.png"]


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(AsapError) as error:
        write_image(tmp_path / "no/out.png", FRAME)
    text = one_line(error, tmp_path / "no/out.png")
    assert text == "cannot be written (No such file or directory)"
