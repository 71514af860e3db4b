"""Checks of options that several verbs have, made before anything long is started."""

from __future__ import annotations

from pathlib import Path


def require_duration(seconds: float) -> None:
    """Checks `--seconds`.

    Raises:
        UsageError: if it is not a finite number above 0.
    """
    import math

    from asap_tf.core.errors import UsageError

    if not (seconds > 0 and math.isfinite(seconds)):
        raise UsageError(f"--seconds {seconds:g}: a number above 0 is needed")


def require_outputs(json_file: Path | None, picture: Path | None = None) -> None:
    """Checks that the files of results can be written, before anything is measured for them.

    Args:
        json_file: File given as `--json`.
        picture: PNG file given as `--chart` or `--out`.

    Raises:
        UsageError: if one is a folder, or the picture is another kind of file.
        AsapError: if a folder is missing or read-only.
    """
    import tempfile

    from asap_tf.core.errors import AsapError, UsageError

    if picture is not None and picture.suffix.lower() != ".png":
        raise UsageError(f"{picture}: a name that ends in .png is needed")
    for file in filter(None, (json_file, picture)):
        if file.is_dir():
            raise UsageError(f"{file}: a folder; give the name of a file")
        try:
            tempfile.TemporaryFile(dir=file.parent).close()
        except OSError as error:
            raise AsapError(f"{file}: cannot be written ({error.strerror})") from error


def parse_size(text: str, option: str = "--size") -> tuple[int, int]:
    """The size that an option's text stands for: `"512x1024"` is `(512, 1024)`.

    Raises:
        UsageError: if it is not of that form.
    """
    from asap_tf.core.errors import UsageError

    height, _, width = text.partition("x")
    if not (height.isdecimal() and width.isdecimal() and int(height) and int(width)):
        raise UsageError(f"{option} {text}: HEIGHTxWIDTH in pixels is needed, as in 512x1024")
    return int(height), int(width)


def parse_frame_size(text: str) -> int | tuple[int, int] | None:
    """The size that frames are brought to: `"1024"`, the longer side, `"512x1024"` or `"native"`.

    Raises:
        UsageError: if it is none of these.
    """
    from asap_tf.core.errors import UsageError

    if text == "native":
        return None
    if "x" in text:
        return parse_size(text)
    if not (text.isdecimal() and int(text)):
        raise UsageError(f"--size {text}: the longer side in pixels, HEIGHTxWIDTH or native")
    return int(text)
