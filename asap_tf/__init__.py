"""asap-tf: real-time semantic segmentation of street scenes in Keras 3 on TensorFlow.

Importing the package loads neither Keras nor TensorFlow. As soon as Keras is there, before or
after, the layers and losses that a saved model needs are registered with it, so that
`keras.models.load_model` opens what asap-tf has written.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

import wrapt

from asap_tf.core.system import package_version

if TYPE_CHECKING:
    from asap_tf.data import open_dataset
    from asap_tf.layers import FFDN, SimplePyramid, StripAttention
    from asap_tf.layers.losses import OhemCrossEntropy
    from asap_tf.models import ASAPNet, create_model, list_models
    from asap_tf.runtime import Segmenter, load
    from asap_tf.saving import from_preset

__version__ = package_version()

_HOMES = {
    "ASAPNet": "asap_tf.models",
    "FFDN": "asap_tf.layers",
    "SimplePyramid": "asap_tf.layers",
    "StripAttention": "asap_tf.layers",
    "OhemCrossEntropy": "asap_tf.layers.losses",
    "Segmenter": "asap_tf.runtime",
    "load": "asap_tf.runtime",
    "create_model": "asap_tf.models",
    "from_preset": "asap_tf.saving",
    "list_models": "asap_tf.models",
    "open_dataset": "asap_tf.data",
}

__all__ = [
    "FFDN",
    "ASAPNet",
    "OhemCrossEntropy",
    "Segmenter",
    "SimplePyramid",
    "StripAttention",
    "create_model",
    "from_preset",
    "list_models",
    "load",
    "open_dataset",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'asap_tf' has no attribute '{name}'")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


@wrapt.when_imported("keras")
def _register(keras: Any) -> None:
    for module in ("asap_tf.layers", "asap_tf.layers.losses"):
        importlib.import_module(module)
