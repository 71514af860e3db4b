"""Every kind of bad input, and the error message that answers it.

    python tests/stress/bad_input.py > docs/bad_input.md

Makes what it needs in a temporary folder and runs the command line there, in this process. Ends
with 1 if an answer is not a single line that names what is wrong, has an exit code other than 1 and
2, leaves files behind, or is another one at a second try. Takes some minutes, on a machine without
an NVIDIA GPU: there `export --trt-engine tensorrt` is an error.
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
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import bad_input_artifacts as artifacts
import bad_input_cases as cases
import numpy as np
from bad_input_cases import SIZE, Case, halve
from bad_input_reproduce import reproduce_cases
from PIL import Image

import asap_tf.cli.demo
import asap_tf.runtime
from asap_tf.cli import main as asap
from asap_tf.data.camvid import CLASSES
from asap_tf.training.recipe import load_recipe, recipe_file

RECIPE = """\
name: tiny
augment: {crop: [32, 64]}
train: {epochs: 1, batch_size: 2, precision: float32}
"""

HEAD = """\
# Bad input and the error messages

Made by `python tests/stress/bad_input.py > docs/bad_input.md`, which `pytest -m stress
tests/stress/test_bad_input.py` runs. It fails if one of these answers is a traceback, has more than
one line, does not name the file or field, has an exit code other than 1 (the data or the machine)
and 2 (the command), leaves files behind, or is another one at a second try. None of these commands
takes a step of training. A full disk is imitated by a limit of {limit} bytes on the size of files.
Only `export --trt` without what it needs answers in several lines: the first says what is wrong,
the others what is missing and how to install it.

Not shown are the table that `data check` prints around its defects, and the usage that precedes an
error in the options themselves.

| what is wrong | command | exit | message |
|---|---|---|---|
"""
LIMIT = 100


@dataclass(frozen=True)
class Answer:
    code: int | str
    message: str


def run(case: Case) -> Answer:
    """Runs the command line as a shell would, and finds the message in its output."""
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


def prepare() -> str:
    """Makes, in the current folder, the files that the cases share.

    Returns:
        The report of loading a model's weights into a network for other classes, which is allowed.
    """
    import keras

    from asap_tf import ASAPNet
    from asap_tf.saving import METADATA_NAME, load_weights, save_model
    from asap_tf.streets import write_streets
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
        with folder.started(load_recipe("tiny.yaml", ["data.root=camvid"])):
            folder.save(Checkpoint(1, None, arrays))
    halve(Path("damaged-run/checkpoints/00000001.npz"))

    network = ASAPNet(19, (None, None, 3), aux_heads=True)
    return str(load_weights(network, "model.keras"))


def files() -> set[Path]:
    return {path for path in Path().rglob("*") if path.is_file()}


def faults(case: Case, answer: Answer, again: Answer, new: set[Path]) -> list[str]:
    """Faults of an answer, of that to a second try, and of the files it left behind."""
    message = answer.message
    first, *more = message.split("\n")
    checked = case.command.startswith("data check")
    return [
        fault
        for fault, is_so in (
            (f"exit code {answer.code}", answer.code not in (1, 2)),
            ("no message", not message),
            ("no error", not first.startswith("Error: ") and not checked),
            ("more than one line", more and not case.long),
            (f"does not name {case.names}", case.names not in first),
            (f"left behind: {sorted(map(str, new))}", new),
            (f"at the second try: {again.message}", again != answer),
        )
        if is_so
    ]


def main() -> int:
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    asap_tf.cli.demo.FRAMES = {"train": 1, "val": 1}
    # Opening the good model for each case would take most of the time.
    asap_tf.runtime.load = functools.cache(asap_tf.runtime.load)
    shipped = f"{recipe_file('streets_demo').parents[1]}{os.sep}"
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        transfer = prepare()
        artifacts.prepare()
        print(HEAD.format(limit=LIMIT), end="")
        here = f"{Path.cwd()}{os.sep}"
        for several in (
            cases.image_cases,
            cases.dataset_cases,
            cases.class_cases,
            cases.model_cases,
            cases.folder_cases,
            cases.label_cases,
            cases.recipe_cases,
            cases.option_cases,
            artifacts.artifact_cases,
            artifacts.export_cases,
            artifacts.bench_cases,
            reproduce_cases,
        ):
            for case in several():
                before = files()
                answer = run(case)
                again = run(case) if case.full else answer
                found = faults(case, answer, again, files() - before)
                if found:
                    failed += 1
                    print(f"asap-tf {case.command}: {', '.join(found)}", file=sys.stderr)
                    print(answer.message, file=sys.stderr)
                message = answer.message.replace(here, "").replace(shipped, "")
                lines = (" ".join(line.split()) for line in message.splitlines())
                message = "<br>".join(lines).replace("|", "\\|")
                print(f"| {case.what} | `{case.command}` | {answer.code} | {message} |", flush=True)
    print(f"\nAllowed: `model.weights` of a run on other classes. {transfer}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
