"""What several verbs ask of their options before they start on anything long."""

from __future__ import annotations

from pathlib import Path


def require_duration(seconds: float) -> None:
    """Refuses a `--seconds` that would never end, or never begin.

    Raises:
        UsageError: for what is no finite number above 0.
    """
    import math

    from asap_tf.core.errors import UsageError

    if not (seconds > 0 and math.isfinite(seconds)):
        raise UsageError(f"--seconds {seconds:g}: want a number above 0")


def require_outputs(json_file: Path | None, picture: Path | None = None) -> None:
    """Finds out that a file cannot be written before anything is measured for it.

    Args:
        json_file: Of `--json`.
        picture: Of `--chart` or `--out`, a PNG.

    Raises:
        UsageError: if one is a folder, or the picture is another kind of file.
        AsapError: if a folder is missing or read-only.
    """
    import tempfile

    from asap_tf.core.errors import AsapError, UsageError

    if picture is not None and picture.suffix.lower() != ".png":
        raise UsageError(f"{picture}: want a name that ends in .png")
    for file in filter(None, (json_file, picture)):
        if file.is_dir():
            raise UsageError(f"{file}: a folder; give the name of a file")
        try:
            tempfile.TemporaryFile(dir=file.parent).close()
        except OSError as error:
            raise AsapError(f"{file}: cannot be written ({error.strerror})") from error
