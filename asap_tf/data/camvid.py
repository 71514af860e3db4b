"""CamVid (Brostow et al., 2008) in SegNet's layout: 11 classes and void.

    train/NAME.png  trainannot/NAME.png
    val/NAME.png    valannot/NAME.png
    test/NAME.png   testannot/NAME.png

Frames may be JPEG too. Masks hold train ids, and 11 for void, which is ignored.
"""

from __future__ import annotations

from pathlib import Path

from asap_tf.core.errors import UsageError
from asap_tf.core.labels import IGNORE_LABEL, LabelClass
from asap_tf.data.dataset import Dataset, Pair
from asap_tf.data.encodings import IndexEncoding
from asap_tf.data.pairing import FRAME_ENDINGS, MASK_ENDINGS, find_files, match

CLASSES = (
    LabelClass("sky", (128, 128, 128), "sky", 0),
    LabelClass("building", (128, 0, 0), "construction", 1),
    LabelClass("pole", (192, 192, 128), "object", 2),
    LabelClass("road", (128, 64, 128), "flat", 3),
    LabelClass("sidewalk", (0, 0, 192), "flat", 4),
    LabelClass("tree", (128, 128, 0), "nature", 5),
    LabelClass("sign", (192, 128, 128), "object", 6),
    LabelClass("fence", (64, 64, 128), "construction", 7),
    LabelClass("car", (64, 0, 128), "vehicle", 8),
    LabelClass("pedestrian", (64, 64, 0), "human", 9),
    LabelClass("bicyclist", (0, 128, 192), "human", 10),
)
"""By train id, in the colors of the dataset's authors."""

_VOID = 11
ENCODING = IndexEncoding({c.label_id: c.label_id for c in CLASSES} | {_VOID: IGNORE_LABEL})


def open_camvid(root: Path) -> Dataset:
    """Open a CamVid folder.

    Args:
        root: The folder that holds `train`, `trainannot` and so on.

    Returns:
        The dataset with those splits that have a folder of frames. A `test` folder
        without `testannot` gives frames without masks.

    Raises:
        UsageError: if there is no folder of frames.
    """
    names = [name for name in ("train", "val", "test") if (root / name).is_dir()]
    if not names:
        raise UsageError(f"{root}: none of the folders of frames train, val, test is there")
    splits: dict[str, tuple[Pair, ...]] = {}
    unpaired: list[Path] = []
    for name in names:
        truth = root / f"{name}annot"
        public = name != "test" or truth.is_dir()
        splits[name], alone = match(
            find_files(root / name, FRAME_ENDINGS),
            find_files(truth, MASK_ENDINGS) if public else None,
        )
        unpaired += alone
    return Dataset("camvid", root, CLASSES, ENCODING, splits, tuple(unpaired))
