"""ONNX Runtime Web: which version, from where, and the hashes of its files."""

from __future__ import annotations

import base64
import hashlib
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path
from typing import Any

from asap_tf.core.errors import AsapError, UsageError, first_line

PACKAGE = "onnxruntime-web"
VERSION = "1.30.0"
HOST = "https://cdn.jsdelivr.net"
FOLDER = "runtime"
"""Where it lies in the page's folder."""

SECONDS = 600.0
"""How long npm may take for 33 MB."""

FILES = {
    "wasm": {
        "module": {
            "name": "ort.wasm.min.mjs",
            "bytes": 50126,
            "integrity": "sha384-SfFfy/pvthiOsgaw3KX0bV5TfQ6Iq+oY9KutMe4SxIuHH4cl+DCSD4rTsYOoG1tJ",
        },
        "glue": {
            "name": "ort-wasm-simd-threaded.mjs",
            "bytes": 24381,
            "integrity": "sha384-XcXA/MtAf0WpB8e023xQH9CM7RIjiugakT7x99DIwpFf7k56BIFFcAPerIF7FDad",
        },
        "binary": {
            "name": "ort-wasm-simd-threaded.wasm",
            "bytes": 14239897,
            "integrity": "sha384-vjBJ1z7qrhkTyYsNqKeF6c7N+nOJSU94czEo+tvZcu8G75JparGq9kB+kTnEUNVM",
        },
    },
    "webgpu": {
        "module": {
            "name": "ort.webgpu.min.mjs",
            "bytes": 66349,
            "integrity": "sha384-FPQBMbud8ICuP0Ii+Gr95KWEX9pKHtUC3lacIp0aPI8WYluKvTsEGQ3AE2Ze3QlL",
        },
        "glue": {
            "name": "ort-wasm-simd-threaded.asyncify.mjs",
            "bytes": 53057,
            "integrity": "sha384-qViEcCGzsR/m8nlQwIsbYh7afN4thuraqFYDQY6huvmoLVoZq/eYawQ1wrv8nnhA",
        },
        "binary": {
            "name": "ort-wasm-simd-threaded.asyncify.wasm",
            "bytes": 26781914,
            "integrity": "sha384-EPVDLTxuO663dkZO/pcKJF6vOyyfq/5z9FY1oksN0UWFX2ABH4wDDZQHeNoUleWR",
        },
    },
}
"""Files of the npm package's folder `dist`, by what runs the network, with their hashes.

For another version: `npm pack onnxruntime-web@VERSION`, and `integrity` of its files.
"""


def integrity(content: bytes) -> str:
    """The hash of a file as browsers take it.

    Examples:
        >>> integrity(b"")[:11]
        'sha384-OLBg'
    """
    return f"sha384-{base64.b64encode(hashlib.sha384(content).digest()).decode()}"


def manifest(vendored: bool) -> dict[str, Any]:
    """What the page has to know of it: the version, where the files are, and what they have to be.

    Args:
        vendored: Whether it lies beside the page.
    """
    base = f"{FOLDER}/" if vendored else f"{HOST}/npm/{PACKAGE}@{VERSION}/dist/"
    return {"version": VERSION, "base": base, "providers": FILES}


def require_npm() -> str:
    """The path of npm.

    Raises:
        UsageError: if there is none.
    """
    npm = shutil.which("npm")
    if npm is None:
        raise UsageError(
            f"`vendor` takes {PACKAGE} by npm, which is not here: install Node.js, or leave "
            "`vendor` out, and browsers take it from jsDelivr"
        )
    return npm


def vendor(folder: Path) -> None:
    """Gets the files from npm's registry, and compares them with their hashes.

    Args:
        folder: New folder to write them to.

    Raises:
        AsapError: if npm fails, or a file is another.
    """
    command = [require_npm(), "pack", f"{PACKAGE}@{VERSION}", "--silent", "--prefer-offline"]
    with tempfile.TemporaryDirectory() as packed:
        try:
            done = subprocess.run(
                command, cwd=packed, capture_output=True, text=True, timeout=SECONDS
            )
        except subprocess.TimeoutExpired as error:
            raise AsapError(f"npm did not end within {SECONDS:.0f} s: try again") from error
        if done.returncode:
            raise AsapError(
                f"npm cannot get {PACKAGE} {VERSION} ({first_line(Exception(done.stderr))}): try "
                "`npm ping`, or leave `vendor` out"
            )
        folder.mkdir()
        (archive,) = Path(packed).glob("*.tgz")
        with tarfile.open(archive) as package:
            for file in (file for files in FILES.values() for file in files.values()):
                _extract(package, file, folder)


def _extract(package: tarfile.TarFile, file: dict[str, Any], folder: Path) -> None:
    stored = package.extractfile(f"package/dist/{file['name']}")
    content = stored.read() if stored else b""
    if integrity(content) != file["integrity"]:
        raise AsapError(
            f"{file['name']} of {PACKAGE} {VERSION} is not the file that it was: the registry "
            "that npm asks gives another one"
        )
    (folder / file["name"]).write_bytes(content)
