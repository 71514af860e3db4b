"""Submissions to the Cityscapes test server: a zip of label-id maps, one per frame."""

from __future__ import annotations

import io
import zipfile
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from asap_tf.core.errors import AsapError, UsageError
from asap_tf.core.files import written_whole
from asap_tf.core.progress import ProgressBar
from asap_tf.data.cityscapes import LABELS
from asap_tf.data.dataset import Dataset, Pair
from asap_tf.data.images import read_image
from asap_tf.inference.evaluate import require_same_classes

if TYPE_CHECKING:
    from asap_tf.runtime import Segmenter

_FRAME_ENDING = "_leftImg8bit.png"
_OFFICIAL_IDS = [label.label_id for label in LABELS if label.label_id >= 0]


def write_submission(segmenter: Segmenter, dataset: Dataset, split: str, out_zip: Path) -> None:
    """Predicts a split and writes a submission to the Cityscapes test server.

    The zip holds one PNG per frame, `<city>_<sequence>_<frame>_pred_labelIds.png`: official label
    ids (7 for road), 8-bit, at the frame's own size. It is checked with `check_submission` before
    it takes its name; an older file of that name stays whole until then.

    Args:
        segmenter: Any artifact that `asap_tf.runtime.load` opens, with the Cityscapes classes.
        dataset: Dataset of kind `"cityscapes"`.
        split: `"test"` for the server; any other, to score the file with the official script.
        out_zip: File to write, in a folder that exists.

    Raises:
        UsageError: if the dataset is not Cityscapes, the classes differ, or `out_zip` is a folder
            or in none.
        AsapError: if a frame cannot be read or the file cannot be written.
    """
    _require_cityscapes(dataset)
    require_same_classes(segmenter.classes, dataset)
    pairs = dataset.pairs(split)
    label_ids = np.array([c.label_id for c in dataset.classes], np.uint8)
    out_zip = Path(out_zip)
    if out_zip.is_dir() or not out_zip.parent.is_dir():
        raise UsageError(f"{out_zip}: name a zip file to write, in a folder that exists")
    # Opened before any frame is predicted: a folder that cannot be written shows at once.
    with written_whole(out_zip) as aside:
        with zipfile.ZipFile(aside, "w") as archive:
            for pair in ProgressBar(pairs, "predicting", unit="frame"):
                labels = segmenter.predict(read_image(pair.image)[np.newaxis])[0]
                png = io.BytesIO()
                Image.fromarray(label_ids[labels]).save(png, "PNG")
                archive.writestr(f"{_core(pair)}_pred_labelIds.png", png.getvalue())
        check_submission(aside, dataset, split)


def check_submission(zip_path: Path, dataset: Dataset, split: str) -> None:
    """Checks a submission against the rules of the official script and the test server.

    Every frame of the split has exactly one PNG that the official script would pick for it
    (`<city>_<sequence>_<frame>*.png`, in any folder of the zip), and nothing else is there; each
    is 8-bit gray, of its frame's size, and holds official label ids only.

    Args:
        zip_path: File to check.
        dataset: Dataset of kind `"cityscapes"`.
        split: Name of the split that the file is for.

    Raises:
        UsageError: if the dataset is not Cityscapes.
        AsapError: if the file is not a zip, or has defects, each on a line of the message.
    """
    _require_cityscapes(dataset)
    pairs = dataset.pairs(split)
    defects = []
    try:
        with zipfile.ZipFile(zip_path) as archive:
            names = [name for name in archive.namelist() if not name.endswith("/")]
            unclaimed = set(names)
            for pair in ProgressBar(pairs, "checking", unit="frame"):
                core = _core(pair)
                found = [name for name in names if _is_for(name, core)]
                unclaimed.difference_update(found)
                if len(found) == 1:
                    defects += _map_defects(archive, found[0], _size(pair))
                else:
                    defects.append(f"{core}*.png: {len(found)} files, exactly one is needed")
    except (OSError, zipfile.BadZipFile) as error:
        raise AsapError(f"{zip_path}: not a readable zip file ({error})") from error
    defects += [f"{name}: belongs to no frame of split '{split}'" for name in sorted(unclaimed)]
    if defects:
        number = "1 defect" if len(defects) == 1 else f"{len(defects)} defects"
        raise AsapError(f"{zip_path}: {number} in this submission", *defects)


def _require_cityscapes(dataset: Dataset) -> None:
    if dataset.kind != "cityscapes":
        raise UsageError(
            f"{dataset.root} is {dataset.kind} data: only the Cityscapes server takes submissions; "
            "omit `submission`"
        )


def _core(pair: Pair) -> str:
    """The part of a frame's name that all its files share: `<city>_<sequence>_<frame>`."""
    return pair.image.name[: -len(_FRAME_ENDING)]


def _is_for(name: str, core: str) -> bool:
    """Whether the official script would use this file of the zip for that frame."""
    base = name.rpartition("/")[2]
    return base.startswith(core) and base.endswith(".png")


def _size(pair: Pair) -> tuple[int, int]:
    """Width and height of a frame, from the head of its file."""
    try:
        with Image.open(pair.image) as image:
            return image.size
    except OSError as error:
        raise AsapError(f"{pair.image}: not a readable image ({error})") from error


def _map_defects(archive: zipfile.ZipFile, name: str, size: tuple[int, int]) -> list[str]:
    """Defects of one label-id map, a line each; `size` is (width, height)."""
    try:
        with Image.open(io.BytesIO(archive.read(name))) as image:
            labels, mode, form = np.asarray(image), image.mode, image.format
    except (OSError, SyntaxError, zipfile.BadZipFile, zlib.error) as error:
        return [f"{name}: not a readable image ({error})"]
    if (form, mode) != ("PNG", "L"):
        return [f"{name}: {form} of mode {mode}, an 8-bit gray PNG is needed"]
    defects = []
    if image.size != size:
        defects.append(
            f"{name}: {image.width} x {image.height}, the frame is {size[0]} x {size[1]}"
        )
    present = np.flatnonzero(np.bincount(labels.ravel()))
    unknown = np.setdiff1d(present, _OFFICIAL_IDS)
    if unknown.size:
        defects.append(f"{name}: {unknown.tolist()} are not official label ids")
    return defects
