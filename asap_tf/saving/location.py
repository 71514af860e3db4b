"""Where a model is: a preset in the package, a file on the Hugging Face Hub, or a path."""

from __future__ import annotations

import re
import sys
from pathlib import Path, PurePosixPath
from typing import Any

from asap_tf.core.errors import AsapError, UsageError, first_line
from asap_tf.core.optional import require
from asap_tf.saving.presets import preset_file
from asap_tf.saving.sidecar import LARGEST_ARTIFACT, artifact_files, sidecar

_HUB = re.compile(
    r"hf://(?P<repository>[\w.-]+/[\w.-]+)(?:/(?P<file>[^@]+))?(?:@(?P<revision>[\w./-]+))?"
)


def locate(path: str | Path) -> Path:
    """The file or folder that a model's name, address or path stands for.

    Args:
        path: Name of a preset; `hf://USER/NAME`, for `model.keras` in that repository, or
            `hf://USER/NAME/FILE`, either with `@REVISION`; or a path, which need not exist. A
            file on the Hub is downloaded where it is not in the cache; like every other, it is
            checked by who opens it.

    Raises:
        UsageError: for an address that is none.
        AsapError: if the Hub cannot be reached or does not have it.

    Examples:
        >>> locate("hf://somebody/streets").name
        'model.keras'
    """
    # A `Path` has one slash for two.
    if str(path).startswith("hf:/"):
        return _downloaded("hf://" + str(path)[3:].lstrip("/"))
    return preset_file(path) or Path(path)


def _downloaded(address: str) -> Path:
    parts = _HUB.fullmatch(address)
    file = PurePosixPath(parts["file"] or "model.keras") if parts else None
    if parts is None or file is None or file.is_absolute() or ".." in file.parts:
        raise UsageError(
            f"{address}: give hf://USER/NAME, hf://USER/NAME/FILE or .../FILE@REVISION"
        )
    hub, constants, utils = (
        require(f"huggingface_hub{part}", "hub") for part in ("", ".constants", ".utils")
    )
    utils.logging.set_verbosity_error()
    if not sys.stderr.isatty():
        utils.disable_progress_bars()
    revision = parts["revision"] or "main"
    cache = Path(constants.HF_HUB_CACHE, "asap_tf", parts["repository"].replace("/", "--"))
    folder = cache / revision
    path = folder / file
    wanted: dict[str, Any] = {
        "repo_id": parts["repository"],
        "revision": revision,
        "local_dir": folder,
        "allow_patterns": [
            str(name.relative_to(folder))
            for name in (*artifact_files(path), sidecar(path), path / "*")
        ],
    }
    try:
        size = sum(found.file_size for found in hub.snapshot_download(**wanted, dry_run=True))
        if size > LARGEST_ARTIFACT:
            raise AsapError(f"{address}: {size / 1e9:.0f} GB, more than any model has")
        hub.snapshot_download(**wanted)
    except AsapError:
        raise
    except Exception as error:
        # One of dozens, of the Hub's and of what it is reached by.
        if not path.exists():
            raise AsapError(f"{address}: not to be had: {first_line(error)}") from error
    if not path.exists():
        raise AsapError(
            f"{address}: there is no {file} in that repository; give hf://USER/NAME/FILE"
        )
    return path
