"""Networks: ASAP and its backbones."""

from asap_tf.models.asap import ASAPNet

__all__ = ["ASAPNet"]
