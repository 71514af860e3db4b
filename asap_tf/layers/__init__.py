"""The networks' own layers and their model class, in `keras.ops`: they run on every Keras backend.

Importing this registers all of them with Keras, which opens saved models by it.
"""

from asap_tf.layers.adaptive_mean import AdaptiveMean
from asap_tf.layers.blocks import BatchNormalization, Conv2D, PixelDot
from asap_tf.layers.ffdn import FFDN
from asap_tf.layers.luminance import DepthAndLuminance
from asap_tf.layers.pyramid import SimplePyramid
from asap_tf.layers.resize import AlignedResize, ResizeLike, Upsample
from asap_tf.layers.segmentation_model import SegmentationModel
from asap_tf.layers.strip_attention import StripAttention

__all__ = [
    "FFDN",
    "AdaptiveMean",
    "AlignedResize",
    "BatchNormalization",
    "Conv2D",
    "DepthAndLuminance",
    "PixelDot",
    "ResizeLike",
    "SegmentationModel",
    "SimplePyramid",
    "StripAttention",
    "Upsample",
]
