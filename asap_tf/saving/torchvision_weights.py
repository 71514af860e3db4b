"""ResNet18's ImageNet weights, as torchvision publishes them."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np

from asap_tf.core.errors import AsapError, first_line
from asap_tf.saving.torch_file import read_torch_file

RESNET18 = "https://download.pytorch.org/models/resnet18-f37072fd.pth"
SHA256 = "f37072fd47e89c5e827621c5baffa7500819f7896bbacec160b1a16c560e07ec"
"""Of that file; its name has the beginning."""


def imagenet_tensors() -> dict[str, np.ndarray]:
    """A ResNet18's ImageNet weights, downloaded once into Keras's cache.

    Raises:
        AsapError: if they can neither be found there nor downloaded, or are not what torchvision
            published.
    """
    try:
        file = keras.utils.get_file(
            origin=RESNET18, file_hash=SHA256, hash_algorithm="sha256", cache_subdir="models"
        )
    except Exception as error:
        raise AsapError(
            f"weights='imagenet': {first_line(error)}. Either let this machine reach {RESNET18} "
            "once (the file stays in Keras's cache), or download torchvision's or timm's ResNet18 "
            "elsewhere and give its path: weights=PATH.safetensors or PATH.pth"
        ) from error
    return read_torch_file(Path(file))
