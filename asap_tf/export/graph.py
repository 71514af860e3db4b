"""The network as it is deployed: one frozen graph, from which every format is written."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
from keras import layers, ops

from asap_tf.core.system import stderr_silenced
from asap_tf.export.rewrites.blocks import decided_at, fold_batch_norms, two_pass_norms
from asap_tf.export.rewrites.graph_utils import Replacements, Rewrite
from asap_tf.layers.segmentation_model import as_segmentation_model
from asap_tf.layers.tensor import Tensor

if TYPE_CHECKING:
    import tensorflow as tf

EVERYWHERE = (fold_batch_norms, two_pass_norms)
"""The rewrites that serve every runtime."""

Repeat = Callable[[Tensor, int], Tensor]
"""From labels `(N, H, W)` and a stride to `(N, stride * H, stride * W)`, each repeated."""


@dataclass(frozen=True)
class DeployedGraph:
    """A network without anything that only training needs, at one size and batch.

    Attributes:
        function: A frozen TensorFlow function, its weights constants: `frames`, uint8 RGB
            `(batch, H, W, 3)`, to a list of one: `labels`, uint8 `(batch, H, W)`, or `logits`,
            float32 `(batch, H, W, num_classes)`.
        model: The trained model that it was made from.
        size: `(H, W)`.
        batch: Frames to a call.
        output: `"labels"` or `"logits"`.
        label_stride: Pixels along either axis that share a label.
    """

    function: tf.types.experimental.ConcreteFunction
    model: keras.Model
    size: tuple[int, int]
    batch: int
    output: str
    label_stride: int

    def labels(self, frames: np.ndarray) -> np.ndarray:
        """Its labels `(batch, H, W)` of uint8 frames `(batch, H, W, 3)`, by TensorFlow."""
        import tensorflow as tf

        return self.function(tf.constant(frames))[0].numpy()

    def rewritten(self, rewrites: Sequence[Rewrite], **options: Any) -> DeployedGraph:
        """The same network by other rewrites; for options see `deployed_graph`."""
        return deployed_graph(
            self.model, self.size, self.batch, self.output, self.label_stride, rewrites, **options
        )


def repeated(labels: Tensor, stride: int) -> Tensor:
    """Labels `(N, H, W)` as blocks of equal ones, `(N, stride * H, stride * W)`."""
    batch, height, width = labels.shape
    x = ops.concatenate([ops.reshape(labels, (batch, height, width, 1))] * stride, axis=3)
    x = ops.concatenate([ops.reshape(x, (batch, height, 1, width * stride))] * stride, axis=2)
    return ops.reshape(x, (batch, height * stride, width * stride))


def deployed_graph(
    model: keras.Model,
    size: tuple[int, int],
    batch: int = 1,
    output: str = "labels",
    label_stride: int = 1,
    rewrites: Sequence[Rewrite] = EVERYWHERE,
    repeat: Repeat = repeated,
) -> DeployedGraph:
    """Rewrites a trained network for deployment; exact but for the rounding of float32.

    Args:
        model: From frames to logits, as `ASAPNet` builds it; auxiliary heads are left out.
        size: `(H, W)`, multiples of 32.
        batch: Frames to a call.
        output: `"labels"` puts the argmax into the graph.
        label_stride: Stride of the labels: 1 resizes the logits to the frame's size first, which
            is exact; n resizes them to 1/n only and repeats each label n x n times. A divisor of
            the stride of the network's own logits.
        rewrites: Applied in order.
        repeat: How labels are repeated, int32 as they come from the argmax.

    Raises:
        UsageError: for a stride that the network does not have.

    Example:
        >>> graph = deployed_graph(ASAPNet(19), (512, 1024))
        >>> labels = graph.function(tf.zeros((1, 512, 1024, 3), tf.uint8))[0]
    """
    import tensorflow as tf
    from tensorflow.python.framework.convert_to_constants import (
        convert_variables_to_constants_v2,
    )

    if label_stride != 1:
        rewrites = (decided_at(label_stride), *rewrites)
    network = deployed_network(model, size, batch, rewrites)

    def call(frames: Tensor) -> dict[str, Tensor]:
        logits = network(ops.cast(frames, "float32"), training=False)
        if output == "logits":
            return {"logits": logits}
        # TFLite and ONNX Runtime take the argmax in int32 without a detour over int64.
        labels = tf.argmax(logits, axis=-1, output_type=tf.int32)
        if label_stride != 1:
            labels = repeat(labels, label_stride)
        return {"labels": tf.cast(labels, tf.uint8)}

    frames = tf.TensorSpec((batch, *size, 3), "uint8", name="frames")
    traced = tf.function(call, input_signature=[frames], autograph=False)
    with stderr_silenced():
        function = convert_variables_to_constants_v2(traced.get_concrete_function())
    return DeployedGraph(function, model, size, batch, output, label_stride)


def deployed_network(
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


def calibration_batches(graph: DeployedGraph, frames: Sequence[np.ndarray]) -> list[np.ndarray]:
    """All frames, in batches of the graph; the last one filled up from the start."""
    return [
        np.stack([frames[(start + i) % len(frames)] for i in range(graph.batch)])
        for start in range(0, len(frames), graph.batch)
    ]
