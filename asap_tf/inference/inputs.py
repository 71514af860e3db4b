"""The images and videos that inputs stand for, and where their results are written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from asap_tf.core.errors import UsageError
from asap_tf.data.frames import is_image, pass_over, walk
from asap_tf.data.video import is_video
from asap_tf.inference.view import View


@dataclass(frozen=True)
class InputFile:
    """An input, and the file or folder that its result is written to."""

    path: Path
    target: Path
    is_video: bool


def find_inputs(
    inputs: Sequence[Path], out: Path, view: View, resume: bool = False
) -> list[InputFile]:
    """The images and videos of all inputs, folders' included, in order.

    With `resume`, folders of videos' results may be there.

    Raises:
        UsageError: as of `predict_inputs`, for all that is wrong with names.
    """
    if not inputs:
        raise UsageError("no input: give images, videos or folders of them")
    if out.exists() and not out.is_dir():
        raise UsageError(f"{out}: is a file; the results need a folder")
    sources = []
    for path, place in (found for given in inputs for found in _files_of(given, out)):
        video = is_video(path)
        if video:
            view.refuse_video(path)
        suffix = f".{view.ending}" if not video else "" if view.is_numbers else ".mp4"
        sources.append(InputFile(path, out / place.with_name(f"{path.stem}{suffix}"), video))
    paths = {source.path.resolve() for source in sources}
    first: dict[Path, InputFile] = {}
    for source in sources:
        target = source.target
        if (other := first.setdefault(target, source)) is not source:
            raise UsageError(
                f"{other.path} and {source.path} would both be written to {target}; "
                "predict them into different folders"
            )
        if target.resolve() in paths:
            raise UsageError(f"{target}: is itself an input; choose another output folder")
        goes_on = resume and source.is_video and view.is_numbers and target.is_dir()
        if not goes_on and (target.is_dir() or (not target.suffix and target.exists())):
            hint = ", or `resume` what was stopped" if source.is_video else ""
            raise UsageError(f"{target}: already exists; remove it, choose another folder{hint}")
    for source in sources:
        if around := first.keys() & set(source.target.parents):
            folder = min(around)
            raise UsageError(
                f"{first[folder].path} would be written to {folder}, the folder of "
                f"{source.target}; predict them into different folders"
            )
    return sources


def _files_of(path: Path, out: Path) -> list[tuple[Path, Path]]:
    """The images and videos that an input stands for, each with its place below `out`."""
    if not path.exists():
        raise UsageError(f"{path}: no such file or folder")
    if not path.is_dir():
        if not path.is_file():
            raise UsageError(f"{path}: neither a regular file nor a folder")
        if not (is_video(path) or is_image(path)):
            raise UsageError(f"{path}: neither an image nor a video")
        return [(path, Path(path.name))]
    files = walk(path, leave_out=out)
    found = [file for file in files if is_video(file) or is_image(file)]
    if not found:
        raise UsageError(f"{path}: no images or videos in this folder and its subfolders")
    others = sorted(set(files) - set(found))
    pass_over(path, others, "neither images nor videos")
    return [(file, file.relative_to(path)) for file in found]
