"""Networks: ASAP and its backbones, and the rivals of Table I and of today.

A network is a file with a builder under `@register`; nothing else lists the networks.
"""

from asap_tf.models.asap import ASAPNet
from asap_tf.models.registry import create_model, list_models, register

__all__ = ["ASAPNet", "create_model", "list_models", "register"]
