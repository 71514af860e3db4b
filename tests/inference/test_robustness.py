from __future__ import annotations

import json
import math

import numpy as np
import pytest
from PIL import Image

from asap_tf.core.errors import UsageError
from asap_tf.core.labels import LabelClass
from asap_tf.data.corruptions import CORRUPTIONS, corrupt
from asap_tf.data.dataset import Dataset, Pair
from asap_tf.data.encodings import train_id_encoding
from asap_tf.inference.robustness import Robustness, robustness

CLASSES = tuple(LabelClass(name, (i, i, i), name, i) for i, name in enumerate(("dark", "light")))


class Threshold:
    """Sees what is light by a threshold."""

    classes = CLASSES

    def predict(self, frames):
        return (frames[..., 1] > 127).astype(np.uint8)


@pytest.fixture
def dataset(tmp_path):
    pairs = []
    for i in range(3):
        rng = np.random.default_rng(i)
        frame = rng.integers(0, 256, (6, 8, 3)).repeat(8, 0).repeat(8, 1).astype(np.uint8)
        truth = np.where(rng.random(frame.shape[:2]) < 0.1, 255, frame[..., 1] > 127)
        pair = Pair(tmp_path / f"{i}.png", tmp_path / f"{i}_mask.png")
        Image.fromarray(frame).save(pair.image)
        Image.fromarray(truth.astype(np.uint8)).save(pair.mask)
        pairs.append(pair)
    return Dataset("folder", tmp_path, CLASSES, train_id_encoding(2), {"val": tuple(pairs)})


def naive_miou(dataset, change) -> float:
    right, union = np.zeros((2, 2))
    for pair in dataset.pairs("val"):
        frame, truth = (np.asarray(Image.open(path)) for path in (pair.image, pair.mask))
        seen = change(frame)[..., 1] > 127
        for c in range(2):
            counted = truth != 255
            right[c] += ((truth == c) & (seen == c)).sum()
            union[c] += (((truth == c) | (seen == c)) & counted).sum()
    return float(np.mean(right / union))


def test_each_corruption_is_scored_at_each_severity(dataset):
    found = robustness(Threshold(), dataset)
    assert (found.clean, found.num_frames) == (1, 3)
    assert found.miou.keys() == CORRUPTIONS.keys()
    for name in ("brightness", "contrast", "JPEG", "gaussian blur"):
        for severity in (1, 5):
            expected = naive_miou(dataset, lambda x: corrupt(x, name, severity, None))  # noqa: B023
            assert found.miou[name][severity - 1] == pytest.approx(expected)
    assert found.mean == pytest.approx(np.mean(list(found.miou.values())))
    assert found.miou["gaussian noise"][4] < found.miou["gaussian noise"][0] < 1
    assert robustness(Threshold(), dataset).to_dict() == found.to_dict()
    other = robustness(Threshold(), dataset, seed=1)
    assert other.miou["contrast"] == found.miou["contrast"]
    assert other.miou["gaussian noise"] != found.miou["gaussian noise"]


def test_text_and_json():
    result = Robustness(0.5, {"fog": [0.5, 0.4, 0.3, 0.2, 0.1], "snow": [0.1] * 5}, 7)
    _, clean, fog, snow, mean = (line.split() for line in result.summary().splitlines())
    assert clean == ["clean", "50.00"]
    assert fog == ["fog", "50.00", "40.00", "30.00", "20.00", "10.00", "30.00", "60.00"]
    assert snow[-2:] == ["10.00", "20.00"]
    assert mean == ["mean", "30.00", "25.00", "20.00", "15.00", "10.00", "20.00", "40.00"]
    plain = result.to_dict()
    assert plain["corruptions"]["fog"]["of_clean"] == pytest.approx(0.6)
    assert (plain["miou"], plain["mean"]) == (0.5, pytest.approx(0.2))
    nothing = Robustness(math.nan, {"fog": [math.nan] * 5}, 1)
    assert json.loads(json.dumps(nothing.to_dict(), allow_nan=False))["of_clean"] is None


def test_some_frames_of_a_split(dataset):
    assert dataset.thinned("val", 2).pairs("val") == dataset.pairs("val")[::2]
    assert dataset.thinned("val", 9).pairs("val") == dataset.pairs("val")
    with pytest.raises(UsageError, match="`frames` 0: at least 1"):
        dataset.thinned("val", 0)
    with pytest.raises(UsageError, match="no split 'vall'; did you mean 'val'"):
        dataset.thinned("vall", 1)
