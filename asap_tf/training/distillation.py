"""Distillation: learning from a teacher's outputs as well as from masks."""

from __future__ import annotations

from collections.abc import Callable

import keras
from keras import layers, ops

from asap_tf.core.errors import UsageError
from asap_tf.data.dataset import Dataset
from asap_tf.inference.evaluate import require_same_classes
from asap_tf.layers import SegmentationModel
from asap_tf.layers.gradients import custom_gradient, fused
from asap_tf.layers.replicas import joint_moments, replica_context
from asap_tf.layers.tensor import Tensor
from asap_tf.runtime import load


class KLDivergence(layers.Layer):
    """Kullback-Leibler divergence of a student's output from its teacher's, at every pixel.

    Input: logits of both, `[(N, H, W, C), (N, H, W, C)]`, the student's first. Output: float32
    `(N, H, W)`, nats, 0 where they agree.

    The teacher gets no gradient. In two thirds of the time of Keras's own operations: one pass over
    the logits, and one back.

    Source: Hinton et al. 2015, at temperature 1.

    Examples:
        >>> logits = np.array([[[[0.0, 3.0]]]])
        >>> KLDivergence()([-logits, logits])
        <tf.Tensor: shape=(1, 1, 1), dtype=float32, numpy=array([[[2.7154458]]], dtype=float32)>
    """

    def call(self, inputs: list[Tensor]) -> Tensor:
        student, teacher = (ops.cast(x, "float32") for x in inputs)

        @custom_gradient
        def divergence(student: Tensor) -> tuple[Tensor, Callable]:
            distance, *sums = divergence_and_sums(student, teacher)

            def gradient(upstream: Tensor) -> Tensor:
                return divergence_slopes(student, teacher, *sums, upstream)

            return distance, gradient

        return divergence(student)

    def compute_output_shape(self, input_shape: list[tuple]) -> tuple:
        return input_shape[0][:-1]


@fused
def divergence_and_sums(student: Tensor, teacher: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The divergence, and the logarithms of the sums of both sides' exponentials."""
    own, other = (ops.logsumexp(x, axis=-1) for x in (student, teacher))
    probabilities = ops.exp(teacher - other[..., None])
    return ops.sum(probabilities * (teacher - student), axis=-1) + own - other, own, other


@fused
def divergence_slopes(
    student: Tensor, teacher: Tensor, own: Tensor, other: Tensor, upstream: Tensor
) -> Tensor:
    """The divergence's gradient with respect to the student's logits."""
    slopes = ops.exp(student - own[..., None]) - ops.exp(teacher - other[..., None])
    return upstream[..., None] * slopes


class FeatureMimicking(layers.Layer):
    """Distance of a teacher's feature maps from a student's, projected to the same channels.

    Each of the student's maps goes through a 1 x 1 convolution of this layer's to as many channels
    as its teacher's has, whose maps are normalized to mean 0 and variance 1 over the batch.

    Input: `[(N, H, W, C), ...]`, the student's maps, then as many of its teacher's, of the same
    sizes. Output: float32 `(N,)`, the mean squared difference, summed over the maps.

    Source: Romero et al. 2015 (FitNets), here at all levels, and jointly with the masks.
    """

    def build(self, input_shape: list[tuple]) -> None:
        half = len(input_shape) // 2
        self.projections = []
        for own, target in zip(input_shape[:half], input_shape[half:], strict=True):
            projection = layers.Conv2D(target[-1], 1, dtype=self.dtype_policy)
            projection.build(own)
            self.projections.append(projection)
        super().build(input_shape)

    def call(self, inputs: list[Tensor]) -> Tensor:
        half = len(inputs) // 2
        distance = 0.0
        for project, own, target in zip(
            self.projections, inputs[:half], inputs[half:], strict=True
        ):
            target = ops.cast(target, "float32")
            mean, variance = joint_moments(*ops.moments(target, (0, 1, 2)))
            target = (target - mean) * ops.rsqrt(variance + 1e-5)
            distance += ops.mean((ops.cast(project(own), "float32") - target) ** 2, (1, 2, 3))
        return distance

    def compute_output_shape(self, input_shape: list[tuple]) -> tuple:
        return input_shape[0][:1]


def mean_output(_labels: Tensor, output: Tensor) -> Tensor:
    """The loss of an output that is a loss itself: its mean, whatever the labels."""
    context = replica_context()
    # Keras adds up the losses of devices that share a batch.
    return ops.mean(output) / (context.num_replicas_in_sync if context else 1)


def with_teacher(
    student: SegmentationModel, teacher: SegmentationModel, features: bool
) -> keras.Model:
    """A student for training, with one or two more outputs: its distances from its teacher.

    Args:
        student: Network with auxiliary heads; its layers are shared, not copied.
        teacher: Network from frames to logits; it is frozen, and runs as it does at inference.
        features: Whether to have the output `"features"`, of the maps of the backbones at 1/8,
            1/16 and 1/32, beside `"distilled"`, of the logits.

    Raises:
        UsageError: if there are to be features, and the backbones have no such maps in common.
    """
    teacher.trainable = False
    outputs = dict(student.output)
    strides = [s for s in (8, 16, 32) if features and s in student.backbone_outputs]
    if features and not (strides and teacher.backbone_outputs.keys() >= {*strides}):
        raise UsageError(
            f"distill.features: {teacher.name} has no maps of its backbone at the strides of "
            f"{student.name}'s"
        )
    taught = [teacher.logits, *(teacher.backbone_outputs[s] for s in strides)]
    logits, *maps = keras.Model(teacher.input, taught)(student.input, training=False)
    divergence = KLDivergence(dtype="float32", name="distilled")
    outputs["distilled"] = divergence([student.logits, logits])
    if features:
        own = [student.backbone_outputs[s] for s in strides]
        outputs["features"] = FeatureMimicking(name="features")([*own, *maps])
    return keras.Model(student.input, outputs, name=student.name)


def load_teacher(path: str, dataset: Dataset) -> SegmentationModel:
    """The Keras model at a path, to teach the classes of a dataset.

    Args:
        path: Run folder or `.keras` file.
        dataset: Dataset that the student will learn.

    Raises:
        UsageError: if it is not a Keras model, or of other classes.
        AsapError: if it cannot be opened.
    """
    segmenter = load(path)
    if segmenter.network.model is None:
        raise UsageError(
            f"distill.teacher={path}: gives label maps, and a teacher has to give logits; "
            "give the run folder or .keras file it was exported from"
        )
    require_same_classes(segmenter.classes, dataset)
    return segmenter.network.model
