"""Any model as one thing: frames in, label maps out.

Neither Keras nor TensorFlow, nor any other runtime, is imported before a model needs it.
"""

from asap_tf.runtime.loading import format_of, load
from asap_tf.runtime.network import FixedNetwork, Network
from asap_tf.runtime.segmenter import Segmenter

__all__ = ["FixedNetwork", "Network", "Segmenter", "format_of", "load"]
