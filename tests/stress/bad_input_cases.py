"""Cases of `bad_input.py` about data, models, recipes and options.

Every generator yields its cases in the folder that `bad_input.prepare` has filled.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

SIZE = (64, 96)


@dataclass(frozen=True)
class Case:
    """One bad input.

    Attributes:
        what: Kind of mistake.
        command: Arguments of `asap-tf`.
        names: File or field that the message has to name.
        full: Whether the disk is full.
        long: Whether more lines may follow the first.
    """

    what: str
    command: str
    names: str
    full: bool = False
    long: bool = False


def convert(mode: str) -> Callable[[Path], None]:
    return lambda path: Image.open(path).convert(mode).save(path)


def write_16_bit(path: Path) -> None:
    cv2.imwrite(str(path), np.full((*SIZE, 3), 40_000, np.uint16))


def halve(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


FRAMES: dict[str, Callable[[Path], None]] = {
    "unreadable": lambda path: path.write_text("no image"),
    "truncated": halve,
    "empty": lambda path: path.write_bytes(b""),
    "16-bit": write_16_bit,
    "16-bit gray": lambda path: Image.fromarray(np.full(SIZE, 40_000, np.uint16)).save(path),
    "gray": convert("L"),
    "palette": convert("P"),
    "RGBA": convert("RGBA"),
}
MASKS: dict[str, Callable[[Path], None]] = {
    "of another size": lambda path: Image.open(path).resize((48, 32)).save(path),
    "with an id outside the table": lambda path: Image.new("L", SIZE[::-1], 77).save(path),
    "of colors": convert("RGB"),
    "truncated": halve,
    "empty": lambda path: path.write_bytes(b""),
}


def image_cases() -> Iterator[Case]:
    """Defects of frames and masks, each in a dataset of its own that is good but for it."""
    for what, name in (
        ("image: missing", "missing.png"),
        ("neither image nor video", "tiny.yaml"),
        ("a folder without images", "plain"),
        ("not a video", "clip.mp4"),
    ):
        yield Case(what, f"predict model.keras {name} --out out", name)
    for kind, damage in FRAMES.items():
        root = f"{kind.replace(' ', '-')}-frame".lower()
        frame = f"{root}/val/0.png"
        damage(copy(root) / "val" / "0.png")
        yield Case(f"image: {kind}", f"data check {root}", frame)
        # Frames to label may be of any mode.
        if kind in ("unreadable", "truncated", "empty"):
            yield Case(f"image: {kind}", f"predict model.keras {frame} --out out", frame)
    for kind, damage in MASKS.items():
        root = f"{kind.replace(' ', '-')}-mask"
        damage(copy(root) / "valannot" / "0.png")
        yield Case(f"mask: {kind}", f"data check {root}", f"{root}/valannot/0.png")
    # These two check the data as `data check` does.
    for root, names in (("gray-frame", "val/0.png"), ("truncated-mask", "valannot/0.png")):
        for command in (
            f"train tiny.yaml --data {root} --out run",
            f"eval model.keras --data {root}",
        ):
            yield Case("a damaged file", command, f"{root}/{names}")


def dataset_cases() -> Iterator[Case]:
    for alone, gone in (("train", "trainannot"), ("trainannot", "train")):
        root = f"without-{gone}"
        (copy(root) / gone / "0.png").unlink()
        for command in (f"data check {root}", f"train tiny.yaml --data {root} --out run"):
            yield Case("a pair without a partner", command, f"{root}/{alone}/0.png")
    empty = copy("empty-val")
    for folder in ("val", "valannot"):
        (empty / folder / "0.png").unlink()
    for what, root, names in (
        ("an empty split", "empty-val", "'val'"),
        ("no such dataset", "missing", "missing"),
        ("no dataset", "plain", "plain"),
        ("a wrong description", "folder", "folder/dataset.yaml"),
    ):
        for command in (
            f"data check {root}",
            f"train tiny.yaml --data {root} --out run",
            f"eval model.keras --data {root}",
        ):
            yield Case(what, command, names)
    yield Case("no such split", "eval model.keras --data camvid --split vall", "'vall'")
    yield Case("no such split", "data show camvid --split vall", "'vall'")
    yield Case(
        "no such split",
        "train tiny.yaml --data camvid --set data.val_split=vall --out run",
        "'vall'",
    )
    yield Case(
        "a split smaller than a batch",
        "train tiny.yaml --data camvid --set train.batch_size=9 --out run",
        "batch_size",
    )


def class_cases() -> Iterator[Case]:
    train = "train tiny.yaml --data camvid --out run --set"
    yield Case(
        "a recipe for other classes", f"{train} loss.class_weights=[1,2]", "loss.class_weights"
    )
    yield Case(
        "a table of other classes", "eval model.keras --data streets --table idd_lite", "drivable"
    )
    yield Case(
        "a model of other classes",
        "eval model.keras --data streets --submission test.zip",
        "streets",
    )
    yield Case("a checkpoint of other classes", "train --resume other-run", "other-run")
    yield Case(
        "no Cityscapes", "eval model.keras --data camvid --submission test.zip", "--submission"
    )


def model_cases() -> Iterator[Case]:
    for what, model in (
        ("no such model", "missing.keras"),
        ("no model", "tiny.yaml"),
        ("a folder without a model", "plain"),
        ("a truncated model", "truncated.keras"),
        ("a model with damaged weights", "damaged.keras"),
        ("a model with damaged metadata", "metadata.keras"),
        ("a model of another kind", "classifier.keras"),
    ):
        yield Case(what, f"info {model}", model)
    for command in (
        "eval truncated.keras --data camvid",
        "predict truncated.keras camvid/val --out out",
        "train tiny.yaml --data camvid --out run --set model.weights=truncated.keras",
    ):
        yield Case("a truncated model", command, "truncated.keras")
    for weights in ("missing.keras", "damaged.safetensors"):
        command = f"train tiny.yaml --data camvid --out run --set model.weights={weights}"
        yield Case("weights that cannot be read", command, weights)
    yield Case("no run to resume", "train --resume plain", "plain")
    yield Case("a damaged checkpoint", "train --resume damaged-run", "00000001.npz")


def folder_cases() -> Iterator[Case]:
    for out in ("camvid", "tiny.yaml"):
        yield Case(
            "a folder that exists", f"train tiny.yaml --data camvid --out {out}", f"{out}: exists"
        )
    yield Case("a folder that exists", "demo --out camvid", "camvid")
    yield Case("a folder that exists", "data streets camvid --train 1 --val 1", "camvid")
    yield Case(
        "a file in place of a folder",
        "predict model.keras camvid/val --out tiny.yaml",
        "tiny.yaml",
    )
    yield Case("inputs as output", "predict model.keras camvid/val --out camvid/val", "0.png")
    for what, inside, full in (
        ("a folder that cannot be written to", "tiny.yaml/", False),
        ("a full disk", "", True),
    ):
        for command, name in (
            ("train tiny.yaml --data camvid --out {}", "run"),
            ("predict model.keras camvid/val --out {}", "out"),
            ("eval model.keras --data camvid --json {}", "scores.json"),
            ("data show camvid --out {}", "sheet.png"),
            ("data streets {} --train 1 --val 1 --size 64x128", "new"),
            ("demo --out {}", "demo"),
        ):
            yield Case(what, command.format(inside + name), name, full)


def label_cases() -> Iterator[Case]:
    Path("list.txt").write_text("camvid/val/0.png\n")
    Path("empty").mkdir(exist_ok=True)
    for what, source, names in (
        ("no such source", "camvit/val", "camvit/val"),
        ("a folder without images", "empty", "empty"),
        ("an image in place of a source", "camvid/val/0.png", "0.png"),
        ("a list that is not text", "model.keras", "model.keras"),
        ("a table without its column", "frames.parquet", "frames.parquet"),
        ("not a table", "list.parquet:path", "list.parquet"),
        ("an unknown store", "nowhere://frames", "nowhere://frames"),
    ):
        if ".parquet" in source:
            shutil.copy("list.txt", source.split(":")[0])
        yield Case(what, f"label model.keras {source} --out labels", names)
    yield Case("a truncated model", "label truncated.keras list.txt --out labels", "truncated")
    label = "label model.keras camvid/val --out"
    yield Case("a file in place of a folder", f"{label} tiny.yaml", "tiny.yaml")
    yield Case("a folder that exists", f"{label} camvid", "camvid")
    yield Case("inputs as output", f"{label} camvid/val/labels", "camvid/val/labels")
    yield Case("a folder that cannot be written to", f"{label} tiny.yaml/labels", "labels")
    yield Case("a number out of range", f"{label} labels --workers 0", "workers")


def recipe_cases() -> Iterator[Case]:
    for what, recipe in (
        ("no such recipe", "camvid_resnet81"),
        ("a recipe that is not YAML", "broken.yaml"),
        ("a recipe without sections", "list.yaml"),
        ("a recipe that is not text", "camvid/val/0.png"),
        ("every wrong field at once", "wrong.yaml"),
    ):
        yield Case(what, f"train {recipe} --data camvid", recipe)
    train = "train tiny.yaml --data camvid --set"
    for what, setting in (
        ("an unknown backbone", "model.backbone=resnet50"),
        ("an unknown kind of dataset", "data.kind=camvit"),
        ("an unknown size", "augment.crop=[100,64]"),
        ("an unknown size", "eval.size=[512]"),
        ("an unknown field", "train.epoch=3"),
        ("an unknown section", "trian.epochs=3"),
        ("a wrong value", "optimizer.learning_rate=-1"),
        ("a wrong value", "loss.class_weights=balancd"),
        ("a wrong value", "train.epochs=2024-13-01"),
        ("a field in place of a section", "name.first=3"),
        ("a value in place of a section", "train=3"),
        ("no value", "train.epochs"),
    ):
        yield Case(what, f"{train} {setting}", setting.split("=")[0].split(".")[0])
    yield Case("a wrong value", "demo --out new --set train.epochs=0", "train.epochs")
    yield Case("no dataset", "train tiny.yaml", "--data")


def option_cases() -> Iterator[Case]:
    for what, command, names in (
        ("an unknown verb", "evl model.keras", "'evl'"),
        ("an unknown verb", "data chek camvid", "'chek'"),
        ("an unknown option", "train tiny.yaml --epochs 3", "--epochs"),
        ("an unknown option", "predict model.keras camvid/val --out out --mode ovrlay", "--mode"),
        ("a missing option", "eval model.keras", "--data"),
        ("a missing argument", "predict model.keras --out out", "INPUTS"),
        ("options that exclude each other", "train tiny.yaml --resume plain", "--resume"),
        ("an unknown size", "data streets new --size 512", "--size"),
        ("an unknown size", "data streets new --size 512x²", "--size"),
        ("an unknown size", "data streets new --size 8x8", "size 8x8"),
        ("a number out of range", "data streets new --train -1", "train"),
        ("a number out of range", "data streets new --seed -1", "seed"),
        ("a number out of range", "data show camvid --frames 0", "--frames"),
        ("a number out of range", "eval model.keras --data camvid --scales 0", "scales"),
        ("not a number", "eval model.keras --data camvid --scales one", "--scales"),
    ):
        yield Case(what, command, names)


def copy(name: str) -> Path:
    """A copy of the good dataset."""
    return Path(shutil.copytree("camvid", name, dirs_exist_ok=True))
