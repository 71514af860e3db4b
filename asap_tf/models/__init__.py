"""Networks: ASAP and its backbones, and the rivals of Table I and of today."""

from collections.abc import Callable

import keras

from asap_tf.models.asap import ASAPNet
from asap_tf.models.bisenetv2 import BiSeNetV2
from asap_tf.models.ddrnet import DDRNet23Slim
from asap_tf.models.dfanet import DFANetA
from asap_tf.models.icnet import ICNet
from asap_tf.models.pidnet import PIDNetS
from asap_tf.models.stdc import STDC1Seg, STDC2Seg

NETWORKS: dict[str, Callable[..., keras.Model]] = {
    "asap": ASAPNet,
    "bisenetv2": BiSeNetV2,
    "stdc1": STDC1Seg,
    "stdc2": STDC2Seg,
    "dfanet_a": DFANetA,
    "icnet": ICNet,
    "ddrnet_23_slim": DDRNet23Slim,
    "pidnet_s": PIDNetS,
}
"""Builders by the name that a recipe gives: all take what `ASAPNet` takes, but for its options."""

__all__ = ["NETWORKS", "ASAPNet"]
