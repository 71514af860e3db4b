"""A static page that segments photos, videos and the camera in the browser."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from PIL import Image

from asap_tf.core.errors import UsageError
from asap_tf.export.package import Contents, Package
from asap_tf.export.web import runtime

PAGE = ("index.html", "page.css", "page.js", "network.js")
"""Files of the page that are the same for all networks, but for the hosts that it may ask."""

EXAMPLE_SEED = 3
"""Of the rendered street that is the page's example."""


def web_page(precisions: Sequence[str] = ("fp32",), vendor: bool = False) -> Package:
    """The page, with one network.

    Args:
        precisions: The network's, one: `"fp32"`, `"fp16"`, half as large, or `"int8"`.
        vendor: Whether LiteRT.js lies beside the page. npm gets it; else browsers do, from
            jsDelivr. In either case its files are compared with the hashes in
            `asap_tf.export.web.runtime`.

    Raises:
        UsageError: for other precisions, or if npm is missing.

    Examples:
        >>> export(Path("runs/camvid"), Path("page"), [], package=web_page())
    """
    precision, *more = precisions
    if more or precision not in ("fp32", "fp16", "int8"):
        raise UsageError(
            f"`precisions` {', '.join(precisions)}: a page has one network, in fp32, fp16 or int8"
        )
    if vendor:
        runtime.require_npm()
    complete = partial(_complete, vendor=vendor)
    return Package("litert", (precision,), complete, "serve it: python3 -m http.server, in there")


def _complete(contents: Contents, vendor: bool) -> None:
    folder, metadata = contents.folder, contents.metadata
    if metadata["output"] == "logits" or metadata["batch"] != 1:
        raise UsageError("a page shows labels, of one frame at a time: leave `output`, `batch` out")
    ((precision, network),) = contents.artifacts.items()
    for name in PAGE:
        shutil.copy(Path(__file__).parent / name, folder)
    index = folder / "index.html"
    asked = "'self'" if vendor else f"'self' {runtime.HOST}"
    index.write_text(index.read_text("utf-8").replace("{connect}", asked), "utf-8")
    if vendor:
        runtime.vendor(folder / runtime.FOLDER)
    _write_example(folder / "example.jpg", metadata["size"])
    manifest = {
        "name": metadata.get("recipe", {}).get("name", "network"),
        "network": network.name,
        "integrity": runtime.integrity(network.read_bytes()),
        "precision": precision,
        **{key: metadata[key] for key in ("size", "input", "output")},
        "classes": [{key: c[key] for key in ("name", "color")} for c in metadata["classes"]],
        "runtime": runtime.manifest(vendor),
    }
    (folder / "manifest.json").write_text(json.dumps(manifest, indent=1), encoding="utf-8")


def _write_example(path: Path, size: tuple[int, int]) -> None:
    from asap_tf.streets import render

    Image.fromarray(render(EXAMPLE_SEED, *size).image).save(path, quality=92)
