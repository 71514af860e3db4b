"""The paper's layers, in `keras.ops`: they run on every Keras backend."""

from asap_tf.layers.ffdn import FFDN
from asap_tf.layers.pyramid import SimplePyramid
from asap_tf.layers.strip_attention import StripAttention

__all__ = ["FFDN", "SimplePyramid", "StripAttention"]
