"""The documentation: its programs run, its commands are commands, its site has no dead link."""

from __future__ import annotations

import contextlib
import re
import shlex
import subprocess
import sys
from pathlib import Path

import click
import numpy as np
import pytest

from asap_tf.cli import group

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]

DEPLOY = ROOT / "docs" / "deploy.md"
PROGRAMS = dict(re.findall(r"<!-- (\w+) -->\n```python\n(.*?)```", DEPLOY.read_text(), re.DOTALL))

GUARD = """
import sys
class Guard:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {refused}:
            raise ImportError(name + " is not to be had here")
sys.meta_path.insert(0, Guard())
"""


@pytest.fixture(scope="module")
def place(trained_model, streets_root, tmp_path_factory):
    """A folder with the export and a frame, and what the Keras model makes of it."""
    from asap_tf import load, open_dataset
    from asap_tf.data.images import read_image
    from asap_tf.export.exporter import export

    folder = tmp_path_factory.mktemp("place")
    formats = ["saved_model", "litert", "onnx"]
    export(
        trained_model,
        folder / "export",
        formats,
        ["fp32", "int8"],
        calibration=streets_root,
    )
    frame = read_image(open_dataset(streets_root).pairs("val")[0].image)[np.newaxis]
    np.save(folder / "frames.npy", frame)
    return folder, load(trained_model).predict(frame)


def test_there_is_one_for_each():
    assert set(PROGRAMS) == {"tensorflow", "ai_edge_litert", "onnxruntime"}


@pytest.mark.parametrize("package", ["tensorflow", "ai_edge_litert", "onnxruntime"])
def test_program(place, package):
    folder, expected = place
    refused = {"asap_tf", "keras", "tensorflow", "ai_edge_litert", "onnxruntime"} - {package}
    if package == "tensorflow":
        refused.discard("keras")
    program = GUARD.format(refused=refused) + PROGRAMS[package] + "np.save('labels.npy', labels)\n"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=folder, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    labels = np.load(folder / "labels.npy")
    assert (labels.dtype, labels.shape) == (np.uint8, (1, 64, 128))
    assert np.mean(labels == expected) > (0.96 if package == "ai_edge_litert" else 0.999)


def python_blocks():
    for page in PAGES:
        blocks = re.findall(r"(<!-- \w+ -->\n)?```python\n(.*?)```", page.read_text(), re.DOTALL)
        for index, code in enumerate(code for marked, code in blocks if not marked):
            yield pytest.param(code, id=f"{page.stem}-{index}")


@pytest.mark.parametrize("code", python_blocks())
def test_python_block(code, streets_root, tmp_path, monkeypatch):
    import shutil

    from asap_tf import ASAPNet, load, open_dataset
    from asap_tf.saving import save_model
    from support.serving import running

    model = tmp_path / "runs" / "camvid" / "model.keras"
    model.parent.mkdir(parents=True)
    classes = open_dataset(streets_root).classes
    save_model(ASAPNet(19, (None, None, 3), width=0.25), model, classes, (64, 128))
    shutil.copy(open_dataset(streets_root).pairs("val")[0].image, tmp_path / "photo.jpg")
    monkeypatch.chdir(tmp_path)
    names = {"frames": np.zeros((2, 64, 128, 3), np.uint8)}
    if "127.0.0.1:8000" not in code:
        exec(code, names)
    else:
        with running(load(model)) as port:
            exec(code.replace(":8000", f":{port}").replace("asap_lite0_street", "model"), names)
    labels = names.get("labels", names["frames"][..., 0])
    assert labels.dtype == np.uint8
    assert labels.shape in {(64, 128), (2, 64, 128)}


def commands():
    for page in PAGES:
        text = page.read_text().replace("\\\n", "")
        fenced = "\n".join(re.findall(r"```bash\n(.*?)```", text, re.DOTALL))
        lines = re.findall(r"^    (?:[A-Z_]+=\S+ )*asap-tf (\w.*)$", text, re.MULTILINE)
        lines += re.findall(r"^(?:[A-Z_]+=\S+ )*asap-tf (\w.*)$", fenced, re.MULTILINE)
        lines += re.findall(r"`asap-tf\s([a-z][^`]*--[^`]*)`", text)
        for line in dict.fromkeys(" ".join(line.split()) for line in lines):
            words = shlex.split(line, comments=True)
            if "..." not in words:
                yield pytest.param(["2" if word == "N" else word for word in words], id=line)


@pytest.mark.parametrize("words", commands())
def test_command_is_one(words):
    command, context = group, click.Context(group)
    # Within a sentence, a command may be without its arguments.
    with contextlib.suppress(click.MissingParameter, click.BadOptionUsage):
        while isinstance(command, click.Group):
            name, command, words = command.resolve_command(context, words)
            context = command.make_context(name, [*words], parent=context)
            words = [*context.protected_args, *context.args]


def test_site_has_no_broken_link(tmp_path):
    build = [
        sys.executable,
        "-m",
        "mkdocs",
        "build",
        "--quiet",
        "--site-dir",
        str(tmp_path / "site"),
    ]
    done = subprocess.run(build, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    for page in ("index.html", "reference/python/index.html", "reference/cli/index.html"):
        assert "asap-tf" in (tmp_path / "site" / page).read_text()
    reference = (tmp_path / "site" / "reference" / "python" / "index.html").read_text()
    # What a docstring shows is code, not a quotation.
    assert "<blockquote>" not in reference
