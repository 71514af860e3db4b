"""What is in the folder of the page; test_page.py opens it."""

from __future__ import annotations

import base64
import hashlib
import json

import pytest

from asap_tf.core.errors import AsapError, UsageError
from asap_tf.export.exporter import export
from asap_tf.export.web import runtime, web_page
from support.browser import skip_without_npm


def test_a_page_whose_runtime_is_elsewhere(trained_model, tmp_path):
    out = tmp_path / "page"
    (artifact,) = export(trained_model, out, [], package=web_page())
    assert artifact.path == out / "asap_fp32.tflite"
    assert {file.name for file in out.iterdir()} == {
        "asap_fp32.tflite",
        "asap_fp32.tflite.json",
        "example.jpg",
        "index.html",
        "manifest.json",
        "network.js",
        "page.css",
        "page.js",
    }
    assert "connect-src 'self' https://cdn.jsdelivr.net;" in (out / "index.html").read_text()
    manifest = json.loads((out / "manifest.json").read_text())
    assert (manifest["size"], manifest["precision"]) == ([64, 128], "fp32")
    assert manifest["classes"][0] == {"name": "road", "color": [128, 64, 128]}
    digest = base64.b64encode(hashlib.sha384(artifact.path.read_bytes()).digest()).decode()
    assert manifest["integrity"] == f"sha384-{digest}"
    base = manifest["runtime"]["base"]
    assert base == f"https://cdn.jsdelivr.net/npm/@litertjs/core@{runtime.VERSION}/"


@pytest.mark.parametrize(
    ("precisions", "options", "message"),
    [
        (["fp32", "int8"], {}, "`precisions` fp32, int8: a page has one network, in fp32, fp16"),
        (["dynamic"], {}, "`precisions` dynamic: a page"),
        (["fp32"], {"formats": ["litert"]}, "this package has the whole folder"),
        (["fp32"], {"output": "logits"}, "a page shows labels"),
        (["fp32"], {"batch": 2}, "a page shows labels, of one frame at a time"),
    ],
)
def test_what_cannot_be_a_page(trained_model, tmp_path, precisions, options, message):
    with pytest.raises(UsageError, match=message):
        options = {"formats": [], **options}
        export(trained_model, tmp_path / "page", package=web_page(precisions), **options)
    assert not list(tmp_path.iterdir())


def test_a_machine_without_npm(monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(UsageError, match="by npm, which is not here: install Node.js, or leave"):
        web_page(vendor=True)


def test_a_registry_without_the_package(monkeypatch, tmp_path):
    skip_without_npm(runtime.PACKAGE)
    monkeypatch.setenv("npm_config_registry", "http://127.0.0.1:9")
    monkeypatch.setenv("npm_config_cache", str(tmp_path / "cache"))
    monkeypatch.setenv("npm_config_fetch_retries", "0")
    with pytest.raises(AsapError, match="npm cannot get @litertjs/core"):
        runtime.vendor(tmp_path / "runtime")


def test_another_file_of_the_same_name(monkeypatch, tmp_path):
    skip_without_npm(runtime.PACKAGE)
    monkeypatch.setitem(runtime.BUILDS["simd"]["glue"], "integrity", "sha384-other")
    with pytest.raises(
        AsapError, match="litert_wasm_internal.js of .* is not the file that it was"
    ):
        runtime.vendor(tmp_path / "runtime")
