from __future__ import annotations

import subprocess
import sys

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
