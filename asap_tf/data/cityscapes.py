"""Cityscapes (Cordts et al., CVPR 2016): the official id table and the folder layout.

    leftImg8bit/{train,train_extra,val,test}/<city>/<city>_<sequence>_<frame>_leftImg8bit.png
    gtFine/{train,val,test}/<city>/<city>_<sequence>_<frame>_gtFine_labelIds.png
    gtCoarse/{train,train_extra,val}/<city>/<city>_<sequence>_<frame>_gtCoarse_labelIds.png

Masks named `*_labelTrainIds.png` are read where no mask named `*_labelIds.png` is there.
"""

from __future__ import annotations

from pathlib import Path

from asap_tf.core.errors import UsageError
from asap_tf.core.labels import IGNORE_LABEL, LabelClass
from asap_tf.data.dataset import Dataset, MaskEncoding, Pair
from asap_tf.data.encodings import IndexEncoding, train_id_encoding
from asap_tf.data.pairing import find_files, match

LABELS = (
    LabelClass("unlabeled", (0, 0, 0), "void", 0),
    LabelClass("ego vehicle", (0, 0, 0), "void", 1),
    LabelClass("rectification border", (0, 0, 0), "void", 2),
    LabelClass("out of roi", (0, 0, 0), "void", 3),
    LabelClass("static", (0, 0, 0), "void", 4),
    LabelClass("dynamic", (111, 74, 0), "void", 5),
    LabelClass("ground", (81, 0, 81), "void", 6),
    LabelClass("road", (128, 64, 128), "flat", 7),
    LabelClass("sidewalk", (244, 35, 232), "flat", 8),
    LabelClass("parking", (250, 170, 160), "flat", 9),
    LabelClass("rail track", (230, 150, 140), "flat", 10),
    LabelClass("building", (70, 70, 70), "construction", 11),
    LabelClass("wall", (102, 102, 156), "construction", 12),
    LabelClass("fence", (190, 153, 153), "construction", 13),
    LabelClass("guard rail", (180, 165, 180), "construction", 14),
    LabelClass("bridge", (150, 100, 100), "construction", 15),
    LabelClass("tunnel", (150, 120, 90), "construction", 16),
    LabelClass("pole", (153, 153, 153), "object", 17),
    LabelClass("polegroup", (153, 153, 153), "object", 18),
    LabelClass("traffic light", (250, 170, 30), "object", 19),
    LabelClass("traffic sign", (220, 220, 0), "object", 20),
    LabelClass("vegetation", (107, 142, 35), "nature", 21),
    LabelClass("terrain", (152, 251, 152), "nature", 22),
    LabelClass("sky", (70, 130, 180), "sky", 23),
    LabelClass("person", (220, 20, 60), "human", 24),
    LabelClass("rider", (255, 0, 0), "human", 25),
    LabelClass("car", (0, 0, 142), "vehicle", 26),
    LabelClass("truck", (0, 0, 70), "vehicle", 27),
    LabelClass("bus", (0, 60, 100), "vehicle", 28),
    LabelClass("caravan", (0, 0, 90), "vehicle", 29),
    LabelClass("trailer", (0, 0, 110), "vehicle", 30),
    LabelClass("train", (0, 80, 100), "vehicle", 31),
    LabelClass("motorcycle", (0, 0, 230), "vehicle", 32),
    LabelClass("bicycle", (119, 11, 32), "vehicle", 33),
    LabelClass("license plate", (0, 0, 142), "vehicle", -1),
)
"""The published table, by label id; the license plate, -1, comes last."""

_TRAINED = (7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33)

CLASSES = tuple(LABELS[label_id] for label_id in _TRAINED)
"""The 19 classes that are trained and scored, by train id."""

# An 8-bit mask stores -1 as 255.
LABEL_ID_ENCODING = IndexEncoding(
    {label.label_id % 256: IGNORE_LABEL for label in LABELS}
    | {label_id: train_id for train_id, label_id in enumerate(_TRAINED)}
)
TRAIN_ID_ENCODING = train_id_encoding(len(CLASSES))

_SPLITS = {"fine": ("train", "val", "test"), "coarse": ("train", "train_extra", "val")}
_FRAME = "_leftImg8bit.png"


def open_cityscapes(root: Path, annotations: str = "fine") -> Dataset:
    """Open a Cityscapes folder.

    Args:
        root: The folder that holds `leftImg8bit` and `gtFine` or `gtCoarse`.
        annotations: `"fine"` or `"coarse"`.

    Returns:
        The dataset with those splits that have a folder of frames. Frames of `test` come without
        masks: the published ones are blank.

    Raises:
        UsageError: if the folder of frames or of masks is missing, or there are no masks of one
            kind for all splits.
    """
    truth = {"fine": "gtFine", "coarse": "gtCoarse"}[annotations]
    frames = root / "leftImg8bit"
    names = [name for name in _SPLITS[annotations] if (frames / name).is_dir()]
    if not names:
        raise UsageError(f"{frames}: none of {', '.join(_SPLITS[annotations])} is there")
    if names != ["test"] and not (root / truth).is_dir():
        raise UsageError(f"{root / truth}: no such folder; it must hold the {annotations} masks")

    with_masks = [root / truth / name for name in names if name != "test"]
    ending, encoding = _mask_files(with_masks, truth)
    splits: dict[str, tuple[Pair, ...]] = {}
    unpaired: list[Path] = []
    for name in names:
        masks = None if name == "test" else find_files(root / truth / name, (ending,))
        splits[name], alone = match(find_files(frames / name, (_FRAME,)), masks)
        unpaired += alone
    return Dataset("cityscapes", root, CLASSES, encoding, splits, tuple(unpaired))


def _mask_files(folders: list[Path], truth: str) -> tuple[str, MaskEncoding]:
    """Ending and encoding of the kind of masks that all splits have.

    Raises:
        UsageError: if there is none, with what there is.
    """
    kinds = {
        kind: [f for f in folders if any(f.rglob(f"*_{truth}_{kind}"))]
        for kind in ("labelIds.png", "labelTrainIds.png", "polygons.json", "color.png")
    }
    encodings = {"labelIds.png": LABEL_ID_ENCODING, "labelTrainIds.png": TRAIN_ID_ENCODING}
    for kind, encoding in encodings.items():
        if kinds[kind] == folders:
            return f"_{truth}_{kind}", encoding
    there = [
        f"*_{kind} in {', '.join(f.name for f in found)}" for kind, found in kinds.items() if found
    ]
    if not there:
        # Each frame is told to have no partner.
        return f"_{truth}_labelIds.png", LABEL_ID_ENCODING
    make = ""
    if kinds["polygons.json"]:
        make = "; asap-tf data convert makes masks of the polygons (--from cityscapes-polygons)"
    elif kinds["color.png"]:
        make = "; a dataset.yaml takes the colors (masks: color), see asap_tf/data/folder.py"
    raise UsageError(
        f"{folders[0].parent}: *_labelIds.png or *_labelTrainIds.png are needed, of one kind for "
        f"all splits; there are {'; '.join(there)}{make}"
    )
