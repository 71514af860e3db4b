"""The network as it is deployed: a frozen graph, from which every format is written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
from keras import layers, ops

from asap_tf.core.sizes import PADDING, padded
from asap_tf.core.system import stderr_silenced
from asap_tf.export.rewrites.batch_norm import fold_batch_norms
from asap_tf.export.rewrites.confidence import Confidence, confidence_by_sum
from asap_tf.export.rewrites.graph_utils import Replacements, Rewrite
from asap_tf.export.rewrites.labels import Repeat, logits_of_stride, repeat_by_joining
from asap_tf.export.rewrites.norms import two_pass_norms
from asap_tf.export.rewrites.upsampling import repeat_by_resize
from asap_tf.layers.segmentation_model import as_segmentation_model
from asap_tf.layers.tensor import Tensor

if TYPE_CHECKING:
    import tensorflow as tf

EVERYWHERE = (fold_batch_norms, two_pass_norms, repeat_by_resize)
"""The rewrites that serve every runtime."""


@dataclass(frozen=True, eq=False)
class Deployment:
    """A trained network, and the size, batch and output it is to be exported with.

    Args:
        model: Functional model from frames to logits; auxiliary outputs are left out.
        size: `(H, W)` of the frames; if it is no multiple of 32, they are padded in the graph.
        batch: Frames to a call.
        output: `"labels"`, with the argmax in the graph; `"labels+confidence"`, with the softmax
            of the class that it gives besides, in 1/255; or `"logits"`.
        label_stride: Pixels along either axis that share a label: 1 resizes the logits to the
            frame's size first, which is exact; n resizes them to 1/n only and repeats each label
            n x n times. A divisor of the stride of the network's own logits.
        compute_capability: Compute capabilities of the GPUs that engines of TensorRT for RTX are
            built for; empty for all.
        temperature: Divisor of the logits for confidences.

    Examples:
        >>> graph = Deployment(ASAPNet(19), (512, 1024)).graph()
        >>> labels = graph.function(tf.zeros((1, 512, 1024, 3), tf.uint8))[0]
    """

    model: keras.Model
    size: tuple[int, int]
    batch: int = 1
    output: str = "labels"
    label_stride: int = 1
    compute_capability: tuple[str, ...] = ()
    temperature: float = 1.0
    _graphs: dict[Any, DeployedGraph] = field(default_factory=dict, init=False)

    @property
    def network_size(self) -> tuple[int, int]:
        """The size that the network itself runs at."""
        return padded(self.size)

    def graph(
        self,
        rewrites: Sequence[Rewrite] = EVERYWHERE,
        repeat: Repeat = repeat_by_joining,
        confidence: Confidence = confidence_by_sum,
    ) -> DeployedGraph:
        """The frozen graph that rewrites make of the network; made once for all that need the same.

        Args:
            rewrites: Rewrites, applied in order; see `asap_tf.export.rewrites`.
            repeat: Way of repeating labels of a stride.
            confidence: Way to the largest probability.

        Raises:
            UsageError: for a label stride that the network does not have.
        """
        if self.label_stride == 1:
            repeat = repeat_by_joining  # Any: nothing is repeated.
        if self.output != "labels+confidence":
            confidence = confidence_by_sum
        key = (tuple(rewrites), repeat, confidence)
        if key not in self._graphs:
            self._graphs[key] = DeployedGraph(self._freeze(*key), self)
        return self._graphs[key]

    def _freeze(
        self, rewrites: Sequence[Rewrite], repeat: Repeat, confidence: Confidence
    ) -> tf.types.experimental.ConcreteFunction:
        import tensorflow as tf
        from tensorflow.python.framework.convert_to_constants import (
            convert_variables_to_constants_v2,
        )

        if self.label_stride != 1:
            rewrites = (logits_of_stride(self.label_stride), *rewrites)
        network = rewritten_network(self.model, self.network_size, self.batch, rewrites)
        height, width = self.size
        below, right = (
            whole - side for whole, side in zip(self.network_size, self.size, strict=True)
        )
        is_padded = (below, right) != (0, 0)

        def call(frames: Tensor) -> dict[str, Tensor]:
            x = ops.cast(frames, "float32")
            if is_padded:
                x = tf.pad(x, ((0, 0), (0, below), (0, right), (0, 0)), constant_values=PADDING)
            logits = network(x, training=False)
            if self.output == "logits":
                return {"logits": logits[:, :height, :width] if is_padded else logits}
            # TFLite and ONNX Runtime take the argmax in int32 without a detour over int64.
            maps = tf.argmax(logits, axis=-1, output_type=tf.int32)
            if self.output == "labels+confidence":
                sure = confidence(logits / self.temperature)
                maps = tf.stack([maps, tf.cast(tf.round(255 * sure), tf.int32)], axis=1)
                # As if they were another frame's labels.
                maps = tf.reshape(maps, (2 * self.batch, *maps.shape[2:]))
            if self.label_stride != 1:
                maps = repeat(maps, self.label_stride)
            if is_padded:
                maps = maps[:, :height, :width]
            maps = tf.cast(maps, tf.uint8)
            if self.output == "labels+confidence":
                maps = tf.reshape(maps, (self.batch, 2, height, width))
            return {self.output: maps}

        frames = tf.TensorSpec((self.batch, *self.size, 3), "uint8", name="frames")
        traced = tf.function(call, input_signature=[frames], autograph=False)
        with stderr_silenced():
            return convert_variables_to_constants_v2(traced.get_concrete_function())


@dataclass(frozen=True, eq=False)
class DeployedGraph:
    """A network without anything that only training needs.

    Attributes:
        function: Frozen TensorFlow function, its weights constants, from `frames`, uint8 RGB
            `(batch, H, W, 3)`, to a list of one: `labels`, uint8 `(batch, H, W)`;
            `labels+confidence`, uint8 `(batch, 2, H, W)`; or `logits`, float32
            `(batch, H, W, num_classes)`.
        deployment: Network, size, batch and output.
    """

    function: tf.types.experimental.ConcreteFunction
    deployment: Deployment

    def run(self, frames: np.ndarray) -> np.ndarray:
        """The output for uint8 frames `(batch, H, W, 3)`, by TensorFlow."""
        import tensorflow as tf

        return self.function(tf.constant(frames))[0].numpy()

    def batches(self, frames: Sequence[np.ndarray]) -> list[np.ndarray]:
        """All frames in batches of the graph, the last one filled up from the first frame on."""
        batch = self.deployment.batch
        return [
            np.stack([frames[(start + i) % len(frames)] for i in range(batch)])
            for start in range(0, len(frames), batch)
        ]


def rewritten_network(
    model: keras.Model, size: tuple[int, int], batch: int, rewrites: Sequence[Rewrite]
) -> keras.Model:
    """The Keras model that is frozen: float32 frames `(batch, *size, 3)` to logits."""
    frames = keras.Input((*size, 3), batch_size=batch, name="frames")
    inference = as_segmentation_model(model).inference_model()
    replacements: Replacements = {}
    for rewrite in rewrites:
        replacements |= rewrite(inference, replacements)

    def call(layer: layers.Layer, *args: Any, **kwargs: Any) -> Tensor:
        if layer.name in replacements:
            return replacements[layer.name](args[0])
        return layer(*args, **kwargs)

    # Layers are cloned, not shared: calling them again would add to the graph of `model`.
    network = keras.models.clone_model(inference, frames, call_function=call)
    for layer in network.layers:
        if layer.weights and layer.name not in replacements:
            layer.set_weights(inference.get_layer(layer.name).get_weights())
    return network
