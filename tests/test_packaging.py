from __future__ import annotations

import configparser
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def test_every_package_is_listed():
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    listed = set(config["options"]["packages"].split())
    found = {
        ".".join(p.parent.relative_to(ROOT).parts) for p in ROOT.glob("asap_tf/**/__init__.py")
    }
    assert listed == found | {"asap_tf.cli", "asap_tf.recipes"}


def test_wheel_and_sdist_carry_code_and_recipes(tmp_path):
    subprocess.run(
        [sys.executable, "-m", "build", "--outdir", tmp_path, ROOT], check=True, capture_output=True
    )
    (wheel,), (sdist,) = tmp_path.glob("*.whl"), tmp_path.glob("*.tar.gz")
    recipes = {path.name for path in (ROOT / "recipes").glob("*.yaml")}
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    assert {f"asap_tf/recipes/{name}" for name in recipes} <= names
    assert {"asap_tf/cli/train.py", "asap_tf/streets/__init__.py", "asap_tf/py.typed"} <= names
    with tarfile.open(sdist) as archive:
        names = {name.split("/", 1)[-1] for name in archive.getnames()}
    assert {f"recipes/{name}" for name in recipes} | {"cli/train.py", "LICENSE"} <= names
