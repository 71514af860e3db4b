"""Every kind of bad input, and the one line with which the program answers it.

    python benchmarks/bad_input.py > docs/bad_input.md

Makes what it needs in a temporary folder and runs the command line there, in this process. Ends
with 1 if an answer is no single line that names what is wrong, has an exit code other than 1 and
2, leaves files behind, or stands in the way of a second try.
"""

from __future__ import annotations

import contextlib
import functools
import io
import os
import resource
import shutil
import sys
import tempfile
import traceback
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

import asap_tf.cli.demo
import asap_tf.runtime
from asap_tf.cli import main as asap
from asap_tf.data.camvid import CLASSES
from asap_tf.recipe import load_recipe, recipe_file

SIZE = (64, 96)
RECIPE = """\
name: tiny
augment: {crop: [32, 64]}
train: {epochs: 1, batch_size: 2, precision: float32}
"""

HEAD = """\
# Bad input, and what it is answered with

Made by `python benchmarks/bad_input.py > docs/bad_input.md`, which fails if one of these answers
is a traceback, is longer than one line, does not name the file or field, has an exit code other
than 1 (the data or the machine) and 2 (the command), leaves files behind, or stands in the way of
a second try. Nothing here takes a single step of training. In place of a full disk, files may grow
to {limit} bytes and no more.

Left out are the table that `data check` prints around its defects, and the usage that precedes a
mistake in the options themselves.

| what is wrong | command | exit | message |
|---|---|---|---|
"""
LIMIT = 100


@dataclass(frozen=True)
class Case:
    """One bad input.

    Attributes:
        what: The kind of mistake.
        command: What follows `asap-tf`.
        names: The file or field that the message has to name.
        full: Whether the disk is full.
    """

    what: str
    command: str
    names: str
    full: bool = False


@dataclass(frozen=True)
class Answer:
    code: int | str
    message: str


def run(case: Case) -> Answer:
    """Runs the command line as a shell would, and finds the message in what it printed."""
    sys.argv = ["asap-tf", *case.command.replace("'", "").split(" ")]
    out, err = io.StringIO(), io.StringIO()
    code: int | str = 0
    disk = full_disk() if case.full else contextlib.nullcontext()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), disk:
        try:
            asap()
        except SystemExit as ended:
            code = int(ended.code or 0)
        except BaseException:
            return Answer("traceback", traceback.format_exc())
    if case.command.startswith("data check") and not err.getvalue():
        *_, defect, count = out.getvalue().splitlines()
        return Answer(code, defect if count == "1 defect" else out.getvalue())
    message = err.getvalue().strip()
    if message.startswith("Usage: "):
        _, _, message = message.partition("\n\n")
    return Answer(code, message)


@contextlib.contextmanager
def full_disk() -> Iterator[None]:
    """Lets no file grow beyond `LIMIT` bytes."""
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (LIMIT, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))


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
    "16-bit grey": lambda path: Image.fromarray(np.full(SIZE, 40_000, np.uint16)).save(path),
    "grey": convert("L"),
    "palette": convert("P"),
    "RGBA": convert("RGBA"),
}
MASKS: dict[str, Callable[[Path], None]] = {
    "of another size": lambda path: Image.open(path).resize((48, 32)).save(path),
    "with an id outside the table": lambda path: Image.new("L", SIZE[::-1], 77).save(path),
    "of colours": convert("RGB"),
    "truncated": halve,
    "empty": lambda path: path.write_bytes(b""),
}


def image_cases() -> Iterator[Case]:
    """Defects of frames and masks, each in a dataset of its own that is good but for it."""
    for what, name in (
        ("image: missing", "missing.png"),
        ("neither image nor video", "tiny.yaml"),
        ("a folder without images", "plain"),
        ("a video that is none", "clip.mp4"),
    ):
        yield Case(what, f"predict model.keras {name} --out out", name)
    for kind, damage in FRAMES.items():
        root = f"{kind.replace(' ', '-')}-frame".lower()
        frame = f"{root}/val/0.png"
        damage(copy(root) / "val" / "0.png")
        for command in (
            f"data check {root}",
            f"train tiny.yaml --data {root} --out run",
            f"eval model.keras --data {root}",
            f"predict model.keras {frame} --out out",
        ):
            yield Case(f"image: {kind}", command, frame)
    for kind, damage in MASKS.items():
        root = f"{kind.replace(' ', '-')}-mask"
        damage(copy(root) / "valannot" / "0.png")
        for command in (
            f"data check {root}",
            f"train tiny.yaml --data {root} --out run",
            f"eval model.keras --data {root}",
        ):
            yield Case(f"mask: {kind}", command, f"{root}/valannot/0.png")


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
    yield Case("a model of other classes", "eval model.keras --data streets", "streets")
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
    yield Case("no run to go on with", "train --resume plain", "plain")
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


def recipe_cases() -> Iterator[Case]:
    for what, recipe in (
        ("no such recipe", "camvid_resnet81"),
        ("a recipe that is not YAML", "broken.yaml"),
        ("a recipe without sections", "list.yaml"),
        ("a recipe that is no text", "camvid/val/0.png"),
        ("every wrong field at once", "wrong.yaml"),
    ):
        yield Case(what, f"train {recipe} --data camvid", recipe)
    train = "train tiny.yaml --data camvid --set"
    for what, setting in (
        ("an unknown backbone", "model.backbone=resnet50"),
        ("an unknown kind of dataset", "data.kind=camvit"),
        ("an unknown size", "augment.crop=[100,64]"),
        ("an unknown size", "eval.size=512"),
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
        ("a missing option", "predict model.keras camvid/val", "--out"),
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
        ("no number", "eval model.keras --data camvid --scales one", "--scales"),
    ):
        yield Case(what, command, names)


def copy(name: str) -> Path:
    """A copy of the good dataset."""
    return Path(shutil.copytree("camvid", name, dirs_exist_ok=True))


def prepare() -> str:
    """Makes, in the current folder, all that the cases share.

    Returns:
        What became of a model's weights in a network for other classes, which is no mistake.
    """
    import keras

    from asap_tf import ASAPNet
    from asap_tf.data.streets import write_streets
    from asap_tf.models.weights import load_weights
    from asap_tf.runtime import METADATA_NAME, save_model
    from asap_tf.training.run_folder import Checkpoint, RunFolder

    rng = np.random.default_rng(0)
    for split, count in (("train", 2), ("val", 1)):
        for i in range(count):
            for folder, high, shape in ((split, 256, (*SIZE, 3)), (f"{split}annot", 12, SIZE)):
                path = Path("camvid", folder, f"{i}.png")
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(rng.integers(0, high, shape, np.uint8)).save(path)
    write_streets("streets", train=2, val=1, size=(64, 128))
    Path("plain").mkdir()
    Path("folder").mkdir()
    Path("folder/dataset.yaml").write_text("masks: colour\nclasses: []\n")
    Path("clip.mp4").write_text("no video")

    Path("tiny.yaml").write_text(RECIPE)
    Path("broken.yaml").write_text("name: [")
    Path("list.yaml").write_text("- name")
    Path("wrong.yaml").write_text(
        "name: x\naugment: {crop: [100, 96], flp: true}\nmodel: {fusion: fdn}\ntrian: {}\n"
    )

    save_model(ASAPNet(11, (None, None, 3)), Path("model.keras"), CLASSES, SIZE)
    inputs = keras.Input((4,))
    keras.Model(inputs, keras.layers.Dense(2)(inputs)).save("classifier.keras")
    content = Path("model.keras").read_bytes()
    Path("truncated.keras").write_bytes(content[: len(content) // 2])
    middle = len(content) // 2
    Path("damaged.keras").write_bytes(content[:middle] + bytes(1000) + content[middle + 1000 :])
    Path("damaged.safetensors").write_bytes(content[:1000])
    shutil.copy("classifier.keras", "metadata.keras")
    with (
        zipfile.ZipFile("model.keras") as source,
        zipfile.ZipFile("metadata.keras", "w") as target,
    ):
        for name in source.namelist():
            target.writestr(name, "{" if name == METADATA_NAME else source.read(name))

    arrays = {"model/0000": np.zeros(3, np.float32)}
    for name in ("damaged-run", "other-run"):
        folder = RunFolder(Path(name))
        folder.start(load_recipe("tiny.yaml", ["data.root=camvid"]))
        folder.save(Checkpoint(1, None, arrays))
    halve(Path("damaged-run/checkpoints/00000001.npz"))

    network = ASAPNet(19, (None, None, 3), aux_heads=True)
    return str(load_weights(network, "model.keras"))


def files() -> set[Path]:
    return {path for path in Path().rglob("*") if path.is_file()}


def faults(case: Case, answer: Answer, again: Answer, new: set[Path]) -> list[str]:
    """What is wrong with an answer, with that to a second try, and with the files it left."""
    message = answer.message
    return [
        fault
        for fault, is_so in (
            (f"exit code {answer.code}", answer.code not in (1, 2)),
            ("no message", not message),
            ("more than one line", "\n" in message),
            (f"does not name {case.names}", case.names not in message),
            (f"left behind: {sorted(map(str, new))}", new),
            (f"at the second try: {again.message}", again != answer),
        )
        if is_so
    ]


def main() -> int:
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    asap_tf.cli.demo.FRAMES = {"train": 1, "val": 1}
    # Opening the good model again and again would take most of the time.
    asap_tf.runtime.load = functools.cache(asap_tf.runtime.load)
    shipped = f"{recipe_file('streets_demo').parents[1]}{os.sep}"
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        transfer = prepare()
        print(HEAD.format(limit=LIMIT), end="")
        here = f"{Path.cwd()}{os.sep}"
        for cases in (
            image_cases,
            dataset_cases,
            class_cases,
            model_cases,
            folder_cases,
            recipe_cases,
            option_cases,
        ):
            for case in cases():
                before = files()
                answer = run(case)
                again = run(case) if case.full else answer
                found = faults(case, answer, again, files() - before)
                if found:
                    failed += 1
                    print(f"asap-tf {case.command}: {', '.join(found)}", file=sys.stderr)
                    print(answer.message, file=sys.stderr)
                message = answer.message.replace(here, "").replace(shipped, "")
                message = " ".join(message.split()).replace("|", "\\|")
                print(f"| {case.what} | `{case.command}` | {answer.code} | {message} |", flush=True)
    print(f"\nNo mistake: `model.weights` of a run on other classes. {transfer}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
