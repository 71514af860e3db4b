"""Learning from a teacher's answers as well as from masks."""

from __future__ import annotations

import keras
from keras import layers, ops

from asap_tf.data.dataset import Dataset
from asap_tf.errors import UsageError
from asap_tf.evaluation import require_same_classes
from asap_tf.layers.blocks import Tensor
from asap_tf.replicas import replica_context
from asap_tf.runtime import load
from asap_tf.runtime.keras_network import KerasNetwork


class Divergence(layers.Layer):
    """Kullback-Leibler divergence of a student's answer from its teacher's, at every pixel.

    Input: logits of both, `[(N, H, W, C), (N, H, W, C)]`, the student's first. Output: float32
    `(N, H, W)`, nats, 0 where they agree.

    Source: Hinton et al. 2015, at temperature 1.

    Example:
        >>> logits = np.array([[[[0.0, 3.0]]]])
        >>> Divergence()([-logits, logits])
        <tf.Tensor: shape=(1, 1, 1), dtype=float32, numpy=array([[[2.7154458]]], dtype=float32)>
    """

    def call(self, inputs: list[Tensor]) -> Tensor:
        student, teacher = (ops.log_softmax(ops.cast(x, "float32")) for x in inputs)
        return ops.sum(ops.exp(teacher) * (teacher - student), axis=-1)

    def compute_output_shape(self, input_shape: list[tuple]) -> tuple:
        return input_shape[0][:-1]


def mean_divergence(_labels: Tensor, divergence: Tensor) -> Tensor:
    """The loss of the output `"distilled"`; masks have no part in it."""
    context = replica_context()
    # Keras adds up the losses of devices that share a batch.
    return ops.mean(divergence) / (context.num_replicas_in_sync if context else 1)


def with_teacher(student: keras.Model, teacher: keras.Model) -> keras.Model:
    """A student for training, with one more output: `"distilled"`, how far it is from its teacher.

    Args:
        student: With auxiliary heads; its layers are shared, not copied.
        teacher: From frames to logits; it is frozen, and runs as it does at inference.
    """
    teacher.trainable = False
    logits = teacher(student.input, training=False)
    distilled = Divergence(dtype="float32", name="distilled")([student.output["logits"], logits])
    return keras.Model(student.input, {**student.output, "distilled": distilled}, name=student.name)


def load_teacher(path: str, dataset: Dataset) -> keras.Model:
    """The Keras model at a path, to teach the classes of a dataset.

    Args:
        path: A run folder or `.keras` file.
        dataset: That the student will learn.

    Raises:
        UsageError: if it is no Keras model, or of other classes.
        AsapError: if it cannot be opened.
    """
    segmenter = load(path)
    if not isinstance(segmenter.network, KerasNetwork):
        raise UsageError(
            f"distill.teacher={path}: gives label maps, and a teacher has to give logits; "
            "give the run folder or .keras file it was exported from"
        )
    require_same_classes(segmenter.classes, dataset)
    return segmenter.network.model
