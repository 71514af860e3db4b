"""Thousands of damaged images and masks, and what every command makes of them.

A dataset in CamVid's layout with a few sound pairs: the rest have flipped bits, are cut short, are
another kind of file, image or size, or claim a gigapixel in a few bytes. `data check` has to name
every file that cannot be read; `train` and `eval` have to refuse the dataset before they start, and
with `--skip-bad` to succeed and to skip exactly the files that `data check` names; `predict
--skip-bad` likewise, but for frames of other modes, which it labels. None may crash, hang, show a
traceback, or take more memory than on the sound pairs alone, but for the largest frame that is
allowed.
"""

from __future__ import annotations

import collections
import io
import os
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from PIL import Image

from asap_tf.data.images import MOST_PIXELS

pytestmark = pytest.mark.stress

SIZE = (96, 64)
SOUND = 12
"""Undamaged pairs of each split."""

LIMIT = 600
"""Seconds that a command may take."""

SLACK = MOST_PIXELS * 4 * 4
"""Bytes: the largest frame and its mask, read ahead four times."""

RECIPE = """
name: bad_data
model: {width: 0.125}
augment: {crop: [32, 64]}
train: {epochs: 1, batch_size: 4, precision: float32}
"""

MODE = "8-bit RGB is needed"
"""Of the message about a frame of another mode."""

Content = dict[str, bytes]


class Result(NamedTuple):
    code: int
    text: str
    peak: int
    seconds: float


def encoded(array: np.ndarray, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, kind, **options)
    return buffer.getvalue()


def damaged(content: bytes, mask: bool, rng: np.random.Generator) -> tuple[str, bytes]:
    """Kind of damage, and the damaged content."""
    kinds = ("bits", "cut", "other file", "other image", "gigapixel", "empty", "ones")
    kind = str(rng.choice(kinds, p=(0.3, 0.2, 0.1, 0.15, 0.15, 0.02, 0.08)))
    data = bytearray(content)
    if kind == "bits":
        for _ in range(int(rng.choice([1, 8, 64]))):
            data[rng.integers(len(data))] ^= 1 << rng.integers(8)
    elif kind == "cut":
        data = data[: rng.integers(1, len(data))]
    elif kind == "other file":
        data = bytearray(rng.choice([b"PK\x03\x04" + bytes(99), b"%PDF-1.7\n", b"\x00" * 999]))
    elif kind == "empty":
        data = bytearray()
    elif kind == "ones":
        at = int(rng.integers(len(data)))
        data[at : at + 4] = b"\xff\xff\xff\xff"[: len(data) - at]
    elif kind == "other image":
        small = np.zeros((SIZE[1] // 2, SIZE[0] // 2, 3), np.uint8)
        gray, deep = small[..., 0], small[..., 0].astype("uint16")
        whole = np.zeros((SIZE[1], SIZE[0], 4), np.uint8)
        images = (small[:, :1], whole) if mask else (gray, whole, deep)
        data = bytearray(encoded(images[rng.integers(len(images))], "PNG"))
    else:
        data = bytearray(gigapixel(str(rng.choice(["PNG", "BMP", "TIFF"]))))
    return kind, bytes(data)


def gigapixel(kind: str) -> bytes:
    """A small file whose header claims 32768 x 32768 pixels."""
    side = 32768
    data = bytearray(encoded(np.zeros((64, 64, 3), np.uint8), kind))
    if kind == "PNG":
        data[16:24] = side.to_bytes(4, "big") * 2
        data[29:33] = zlib.crc32(data[12:29]).to_bytes(4, "big")
    elif kind == "BMP":
        data[18:26] = side.to_bytes(4, "little") * 2
    else:
        # Width and height are the entries of tags 256 and 257.
        start = int.from_bytes(data[4:8], "little") + 2
        for entry in range(start, start + 24, 12):
            data[entry + 8 : entry + 12] = side.to_bytes(4, "little")
    return bytes(data)


def write_dataset(root: Path, files: int, rng: np.random.Generator) -> collections.Counter[str]:
    """Fills a folder; returns the number of damaged files by kind."""
    done: collections.Counter[str] = collections.Counter()
    shares = {"train": 0.6, "val": 0.3, "test": 0.1}
    endings = {".png": "PNG", ".jpg": "JPEG", ".webp": "WEBP", ".bmp": "BMP", ".tif": "TIFF"}
    for split, share in shares.items():
        for folder in (split, f"{split}annot"):
            (root / folder).mkdir(parents=True)
        for i in range(SOUND + round(files * share)):
            ending = str(rng.choice(list(endings)))
            coarse = rng.integers(0, 12, (8, 12)).astype("uint8")
            labels = np.kron(coarse, np.ones((8, 8), "uint8"))
            frame = rng.integers(0, 256, (12, 3)).astype("uint8")[labels]
            content = {"image": encoded(frame, endings[ending]), "mask": encoded(labels, "PNG")}
            if i >= SOUND:
                which = "image" if split == "test" or rng.random() < 0.5 else "mask"
                kind, content[which] = damaged(content[which], which == "mask", rng)
                done[kind] += 1
            (root / split / f"{split}{i:05d}{ending}").write_bytes(content["image"])
            (root / f"{split}annot" / f"{split}{i:05d}.png").write_bytes(content["mask"])
    return done


def run(*arguments: object) -> Result:
    """Runs a command of asap-tf: exit code, all it printed, peak memory in bytes, seconds."""
    command = [sys.executable, "-m", "asap_tf.cli", *map(str, arguments)]
    start = time.monotonic()
    with tempfile.TemporaryFile("w+", errors="replace") as file:
        process = subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT)
        while True:
            pid, status, usage = os.wait4(process.pid, os.WNOHANG)
            if pid:
                break
            if time.monotonic() - start > LIMIT:
                process.kill()
            time.sleep(0.05)
        process.returncode = os.waitstatus_to_exitcode(status)
        file.seek(0)
        text = file.read()
    return Result(process.returncode, text, usage.ru_maxrss * 1024, time.monotonic() - start)


def named(text: str, root: Path, folders: Sequence[str]) -> set[str]:
    """The files below some folders that a text names at the beginning of a line."""
    found = set()
    for line in text.splitlines():
        line = line.removeprefix("skipped: ")
        for folder in folders:
            if line.startswith(f"{root / folder}/"):
                found.add(line.split(": ")[0])
    return found


def test_every_command_names_or_skips_what_cannot_be_used(times, rng, tmp_path):
    from asap_tf import ASAPNet
    from asap_tf.data.camvid import CLASSES
    from asap_tf.saving import save_model

    sound, bad, files = tmp_path / "sound", tmp_path / "bad", times(500)
    write_dataset(sound, 0, rng)
    done = write_dataset(bad, files, rng)
    print("damaged: " + ", ".join(f"{name} {count}" for name, count in sorted(done.items())))
    recipe, model = tmp_path / "recipe.yaml", tmp_path / "model.keras"
    recipe.write_text(RECIPE)
    save_model(ASAPNet(11, (None, None, 3), width=0.125), model, CLASSES, (64, 96))

    check = run("data", "check", bad)
    defects = {s: named(check.text, bad, (s, f"{s}annot")) for s in ("train", "val", "test")}
    total = sum(map(len, defects.values()))
    print(f"data check: {total} of {files} cannot be used; the others still decode")
    assert check.code == 1 and "Traceback" not in check.text
    commands = {
        "train": (("train", recipe, "--data"), ("train", "val"), ("--out", tmp_path / "run")),
        "eval": (("eval", model, "--data"), ("val",), ()),
        "predict": (("predict", model), ("test",), ("--out", tmp_path / "predicted")),
    }
    for name, (head, splits, tail) in commands.items():
        roots = [root / "test" if name == "predict" else root for root in (sound, bad)]
        plain = run(*head, roots[0], *tail[:1], *(f"{path}-sound" for path in tail[1:]))
        strict = run(*head, roots[1], *tail)
        lenient = run(*head, roots[1], *tail, "--skip-bad")
        assert (plain.code, strict.code, lenient.code) == (0, 1, 0), lenient.text[-300:]
        assert len(strict.text.strip().splitlines()) == 1 and str(bad) in strict.text
        folders = [folder for split in splits for folder in (split, f"{split}annot")]
        wanted = set().union(*(defects[split] for split in splits))
        told = lenient.text
        if name == "predict":
            # Frames to label may be of any mode, and what was done to them is told as well.
            told = "\n".join(line for line in told.splitlines() if line.startswith("skipped: "))
            wanted = {file for file in wanted if "annot/" not in file}
            wanted -= {line.split(": ")[0] for line in check.text.splitlines() if MODE in line}
        skipped = named(told, bad, folders)
        assert skipped == wanted
        assert not any("Traceback" in result.text for result in (plain, strict, lenient))
        assert lenient.peak < plain.peak + SLACK
        print(
            f"{name}: {len(skipped)} skipped, {lenient.seconds:.0f} s, peak "
            f"{lenient.peak / 1e6:.0f} MB, {plain.peak / 1e6:.0f} MB on sound files alone"
        )
