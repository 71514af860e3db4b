from __future__ import annotations

import signal
import subprocess
import sys

import click
import pytest

import asap_tf.data.check
from asap_tf.cli import with_flags
from asap_tf.core.errors import AsapError, Interrupted, UsageError

HELP = """
import sys
sys.argv = ["asap-tf", "--help"]
from asap_tf.cli import main
try:
    main()
finally:
    heavy = {"tensorflow", "keras", "numpy", "cv2", "pydantic"} & set(sys.modules)
    sys.exit(f"imported {heavy}" if heavy else 0)
"""


def test_help_lists_the_verbs_and_imports_nothing_heavy():
    done = subprocess.run([sys.executable, "-c", HELP], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for verb in ("train", "eval", "predict", "info", "data", "demo"):
        assert f"  {verb} " in done.stdout


def test_every_verb_has_help(asap):
    for verb in ("train", "eval", "predict", "info", "data", "demo"):
        result = asap(verb, "--help")
        assert result.code == 0 and result.out.startswith(f"Usage: asap-tf {verb}")


def test_version(asap):
    import asap_tf

    assert asap_tf.__version__ in asap("--version").out


def test_mistyped_verb(asap):
    result = asap("trian")
    assert result.code == 2 and "did you mean 'train'?" in result.err


def test_unknown_option(asap):
    result = asap("train", "--epocs", "3")
    assert result.code == 2 and "--epocs" in result.err


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (AsapError("a.png: damaged"), 1),
        (UsageError("a.png: no such file"), 2),
        (Interrupted("stopped"), 128 + signal.SIGINT),
        (Interrupted("stopped", signal.SIGTERM), 128 + signal.SIGTERM),
    ],
)
def test_errors_of_the_library_end_in_one_line_and_a_code(asap, camvid, monkeypatch, error, code):
    def fails(dataset):
        raise error

    monkeypatch.setattr(asap_tf.data.check, "check_dataset", fails)
    result = asap("data", "check", camvid)
    assert (result.code, result.err) == (code, f"Error: {error}\n")


def test_arguments_that_errors_name_are_shown_as_flags(asap):
    result = asap("train", "camvid_resnet18", "--set", "epochs")
    assert result.code == 2 and result.err.startswith("Error: --set epochs: want section.field=")

    @click.group
    def group():
        pass

    @group.command
    @click.argument("model")
    @click.option("--label-stride", "-l")
    @click.option("--set", "overrides")
    def export(model, label_stride, overrides):
        pass

    message = "`model` or `overrides`: leave `label_stride` out, take `weights`, `x.y`"
    expected = "MODEL or --set: leave --label-stride out, take `weights`, `x.y`"
    assert with_flags(message, group) == with_flags(message, export) == expected
