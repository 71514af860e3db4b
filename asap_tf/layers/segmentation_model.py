"""The class of every network: a functional Keras model whose tensors are found by their role."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import keras

from asap_tf.core.errors import UsageError
from asap_tf.layers.pyramid import SimplePyramid
from asap_tf.layers.resize import Upsample
from asap_tf.layers.tensor import Tensor


@keras.saving.register_keras_serializable("asap_tf")
class SegmentationModel(keras.Model):
    """A functional model from frames to logits that names its inner tensors by their role.

    Saving and loading keep all roles. `keras.models.clone_model` keeps those of the outputs.

    Args:
        inputs: Keras tensor of the frames, `(N, H, W, 3)`.
        outputs: Keras tensor of the logits, `(N, H, W, num_classes)`, or a dict of `"logits"` and
            the outputs that only training needs.
        name: Name of the network.
        backbone_outputs: Maps of the backbone by their strides; those that the outputs do not
            depend on are dropped.
        pyramid_outputs: Maps of the feature pyramid by their strides; likewise.

    Attributes:
        logits: Keras tensor of the logits.
        aux_outputs: Keras tensors of the outputs that only training needs, by their names.
        backbone_outputs: Read-only; `{4: ..., 8: ..., 16: ..., 32: ...}` of ASAP.
        pyramid_outputs: Read-only; empty for a network without a pyramid.

    Examples:
        >>> model = asap_tf.create_model("asap")
        >>> model.backbone_outputs[16].shape
        (None, 32, 64, 256)
    """

    def __init__(
        self,
        inputs: Any,
        outputs: Any,
        name: str | None = None,
        *,
        backbone_outputs: Mapping[int, Tensor] | None = None,
        pyramid_outputs: Mapping[int, Tensor] | None = None,
        **kwargs: Any,
    ):
        super().__init__(inputs, outputs, name=name, **kwargs)
        self.backbone_outputs = self._own(backbone_outputs)
        self.pyramid_outputs = self._own(pyramid_outputs)

    def _own(self, maps: Mapping[int, Tensor] | None) -> Mapping[int, Tensor]:
        """Those of the maps that the outputs depend on: other layers' weights are not saved."""
        known = set(self.operations)
        own = {s: x for s, x in (maps or {}).items() if x._keras_history.operation in known}
        # Not a plain dict: Keras would track it, and TensorFlow refuse its keys.
        return MappingProxyType(own)

    def call(self, inputs: Any, training: Any = None, mask: Any = None, **kwargs: Any) -> Any:
        size = tuple(getattr(single(inputs), "shape", ()))[1:3]
        stride = max(self.backbone_outputs, default=1)
        if any(side is not None and side % stride for side in size):
            raise ValueError(
                f"frames of {size[0]} x {size[1]}: height and width must be multiples of {stride}; "
                "asap_tf.load pads them, and so does an export"
            )
        return super().call(inputs, training=training, mask=mask, **kwargs)

    @property
    def logits(self) -> Tensor:
        return self.output["logits"] if isinstance(self.output, dict) else self.output

    @property
    def aux_outputs(self) -> dict[str, Tensor]:
        outputs = self.output if isinstance(self.output, dict) else {}
        return {name: tensor for name, tensor in outputs.items() if name != "logits"}

    def inference_model(self) -> SegmentationModel:
        """This model without its auxiliary outputs; the layers are shared, not copied."""
        return self._with_outputs(self.logits)

    def with_aux_stride(self, stride: int) -> SegmentationModel:
        """This model with logits of a stride from its auxiliary heads; the layers are shared.

        Args:
            stride: A divisor of the stride of the maps that the heads look at.

        Raises:
            UsageError: (a ValueError) if an auxiliary output is not by `Upsample`, or by one that
                the stride does not divide.
        """
        outputs = dict(self.output)
        for name, output in self.aux_outputs.items():
            whole = output._keras_history.operation
            if not isinstance(whole, Upsample) or whole.factor % stride:
                raise UsageError(f"{self.name}: output '{name}' cannot have a stride of {stride}")
            coarse = Upsample(whole.factor // stride, dtype=whole.dtype_policy, name=name)
            outputs[name] = coarse(whole.input)
        return self._with_outputs(outputs)

    def _with_outputs(self, outputs: Any) -> SegmentationModel:
        return SegmentationModel(
            self.inputs[0],
            outputs,
            name=self.name,
            backbone_outputs=self.backbone_outputs,
            pyramid_outputs=self.pyramid_outputs,
        )

    def get_config(self) -> dict[str, Any]:
        roles = {
            "backbone_outputs": dict(self.backbone_outputs),
            "pyramid_outputs": dict(self.pyramid_outputs),
        }
        # Keras writes down where each output of a model comes from: by layer, node and index.
        config = keras.Model(self.input, {"outputs": self.output, "roles": roles}).get_config()
        tensors = config["output_layers"]
        return {
            **config,
            "name": self.name,
            "trainable": self.trainable,
            "output_layers": tensors["outputs"],
            "roles": tensors["roles"],
        }

    @classmethod
    def from_config(
        cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None
    ) -> SegmentationModel:
        config = dict(config)
        tensors = {"outputs": config.pop("output_layers"), "roles": config.pop("roles")}
        whole = keras.Model.from_config({**config, "output_layers": tensors}, custom_objects)
        roles = {
            # JSON has made texts of the strides.
            role: {int(stride): tensor for stride, tensor in by_stride.items()}
            for role, by_stride in whole.output["roles"].items()
        }
        return cls(
            whole.input,
            whole.output["outputs"],
            name=config["name"],
            trainable=config["trainable"],
            **roles,
        )


def as_segmentation_model(model: keras.Model) -> SegmentationModel:
    """The model itself, or, of a plain functional model, one of the same layers with roles.

    The logits are its output, and its pyramid is found where it has one, so that ASAP as earlier
    versions saved it has all roles.

    Raises:
        ValueError: if it has several named outputs, and none of them is `"logits"`.
    """
    if isinstance(model, SegmentationModel):
        return model
    roles = {}
    for layer in model.layers:
        if isinstance(layer, SimplePyramid):
            strides = [4 * 2**i for i in range(len(layer.output))]
            roles["backbone_outputs"] = dict(zip(strides, layer.input, strict=True))
            roles["pyramid_outputs"] = dict(zip(strides, layer.output, strict=True))
    outputs = model.outputs if isinstance(model, keras.Sequential) else model.output
    if isinstance(outputs, dict) and "logits" not in outputs:
        raise ValueError(f"of its outputs {', '.join(outputs)} none is named 'logits'")
    return SegmentationModel(single(model.inputs), single(outputs), name=model.name, **roles)


def single(tensors: Any) -> Any:
    """The tensor of a list of one, or what was given."""
    return tensors[0] if isinstance(tensors, list) and len(tensors) == 1 else tensors
