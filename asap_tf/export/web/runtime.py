"""LiteRT.js: which version, from where, and the hashes of its files."""

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

PACKAGE = "@litertjs/core"
VERSION = "2.5.3"
MEGABYTES = 10
"""What a browser fetches of it: the module, and one build."""

HOST = "https://cdn.jsdelivr.net"
FOLDER = "runtime"
"""Where it lies in the page's folder."""

SECONDS = 600.0
"""How long npm may take for 38 MB."""

MODULE = {
    "name": "dist/index.js",
    "integrity": "sha384-MapSVJ/DPwvaWpp7q+Bid9O3uY1oB0KOU1QRMP+Mm5zdz5oMme/BUyX6dVAMWnPg",
}
"""The runtime's module, of whatever build."""

BUILDS = {
    "threaded": {
        "glue": {
            "name": "wasm/litert_wasm_threaded_internal.js",
            "integrity": "sha384-yzheND5ZxfO4+9po2DFoaMqr56eo7p10JiuyDXIbNqi2MOTw/8AIm1CtEe5Dqz62",
        },
        "binary": {
            "name": "wasm/litert_wasm_threaded_internal.wasm",
            "integrity": "sha384-W0YLgt+poOZCNAm54r2Ga6K2PmHezmLMKtO5RvIFQtK8ji5wvIW56LEwGn4eH0Cb",
        },
    },
    "simd": {
        "glue": {
            "name": "wasm/litert_wasm_internal.js",
            "integrity": "sha384-NB/Wc4iozynQO5jzJ2VFoMKbqMvwwFGWxJL/o63IJT6W2JfZbsSLxA2cF6H/mLpQ",
        },
        "binary": {
            "name": "wasm/litert_wasm_internal.wasm",
            "integrity": "sha384-AZ/Ak4CbDpjqpSr8WsnoL3Dcx6bDFA/k9b/jahok1TGHZ2OqIRjLBMiEmiNedhlC",
        },
    },
    "compat": {
        "glue": {
            "name": "wasm/litert_wasm_compat_internal.js",
            "integrity": "sha384-oh4nb8zDq6eVOpGeZE5gwDOJ16QujHLL8k/HEXt3XiPxr+8zn3YnkXP8P3BlJET1",
        },
        "binary": {
            "name": "wasm/litert_wasm_compat_internal.wasm",
            "integrity": "sha384-glAZ6WjS7tLRt89pbTPXvLC1c7DCaVSfL2ngn5gZJiUuPs76fWYJy7ZeFaD0PJXx",
        },
    },
    "webgpu": {
        "glue": {
            "name": "wasm/litert_wasm_jspi_internal.js",
            "integrity": "sha384-Y6/AvIxciaLSzSWRJcd1FVuRAhc/f2HeaLQuYuwdN/Y0aipWnFoBrszL8JHT0GHD",
        },
        "binary": {
            "name": "wasm/litert_wasm_jspi_internal.wasm",
            "integrity": "sha384-FBGaMKCEjTkeIOEl4TMyiD0fjfNzVbruCGIwX4FQdVmfp4GBiSCTmniGAPU5olS+",
        },
    },
}
"""WebAssembly of the npm package, with hashes: with threads, without, for browsers without relaxed
SIMD, and for GPUs.

For another version: `npm pack @litertjs/core@VERSION`, and `integrity` of its files.
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
    base = f"{FOLDER}/" if vendored else f"{HOST}/npm/{PACKAGE}@{VERSION}/"
    return {
        "version": VERSION,
        "megabytes": MEGABYTES,
        "base": base,
        "module": MODULE,
        "builds": BUILDS,
    }


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
            for file in (MODULE, *(file for build in BUILDS.values() for file in build.values())):
                _extract(package, file, folder)


def _extract(package: tarfile.TarFile, file: dict[str, Any], folder: Path) -> None:
    stored = package.extractfile(f"package/{file['name']}")
    content = stored.read() if stored else b""
    if integrity(content) != file["integrity"]:
        raise AsapError(
            f"{file['name']} of {PACKAGE} {VERSION} is not the file that it was: the registry "
            "that npm asks gives another one"
        )
    target = folder / file["name"]
    target.parent.mkdir(exist_ok=True)
    target.write_bytes(content)
