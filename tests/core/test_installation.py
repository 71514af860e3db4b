from __future__ import annotations

import configparser
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest

from asap_tf.core import installation
from asap_tf.core.errors import AsapError
from asap_tf.core.formats import FORMATS

METADATA = """Metadata-Version: 2.1
Name: asap-tf
Version: 9
Provides-Extra: onnx
Provides-Extra: both
Provides-Extra: elsewhere
Provides-Extra: dev
Requires-Dist: numpy
Requires-Dist: click>=1; extra == "onnx"
Requires-Dist: no-such-package>=3; extra == "onnx"
Requires-Dist: asap-tf[onnx]; extra == "both"
Requires-Dist: numpy>=999; extra == "both"
Requires-Dist: no-such-package; sys_platform == "no such system" and extra == "elsewhere"
"""


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """asap-tf with a few extras."""
    folder = tmp_path / "asap_tf-9.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text(METADATA)
    monkeypatch.syspath_prepend(tmp_path)


def test_what_is_here_and_what_is_not(installed):
    onnx, both, elsewhere = installation.extras()
    assert (onnx.installed, onnx.missing) == (
        {"click": version("click")},
        ("no-such-package>=3",),
    )
    assert onnx.formats == ("ONNX", "TensorRT", "ONNX for TensorRT")
    assert onnx.pip_line == "pip install 'asap-tf[onnx]'"
    assert both.installed == onnx.installed
    assert both.missing == ("no-such-package>=3", "numpy>=999")
    assert (elsewhere.installed, elsewhere.missing) == ({}, ())


def test_every_format_belongs_to_an_extra_of_setup_cfg():
    config = configparser.ConfigParser()
    config.read(Path(__file__).parents[2] / "setup.cfg")
    extras = set(config["options.extras_require"])
    assert {row.extra for row in FORMATS.values() if row.extra} <= extras


def test_without_metadata_it_says_how_to_install(monkeypatch):
    def missing(name):
        raise PackageNotFoundError(name)

    monkeypatch.setattr(installation, "metadata", missing)
    with pytest.raises(AsapError, match="pip install"):
        installation.extras()
