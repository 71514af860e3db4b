"""Any model as one thing: frames in, label maps out.

Neither Keras nor TensorFlow, nor any other runtime, is imported before a model needs it.
"""

from asap_tf.runtime.loading import FORMATS, format_of, load
from asap_tf.runtime.network import FixedNetwork, Network
from asap_tf.runtime.segmenter import Segmenter
from asap_tf.saving.keras_file import load_keras_model, model_file, save_model
from asap_tf.saving.metadata import METADATA_NAME, read_metadata, sidecar

__all__ = [
    "FORMATS",
    "METADATA_NAME",
    "FixedNetwork",
    "Network",
    "Segmenter",
    "format_of",
    "load",
    "load_keras_model",
    "model_file",
    "read_metadata",
    "save_model",
    "sidecar",
]
