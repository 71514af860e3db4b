"""What a training learns: a network with its losses, the batches it takes, and how it is scored."""

from __future__ import annotations

import functools
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from asap_tf.core.distributed import Hosts
from asap_tf.core.errors import UsageError, nearest
from asap_tf.core.labels import IGNORE_LABEL, LabelTable, relate
from asap_tf.data.augment import Augmentation
from asap_tf.data.check import CheckReport
from asap_tf.data.dataset import Dataset
from asap_tf.data.encodings import RelabeledEncoding
from asap_tf.data.images import BadFile
from asap_tf.data.label_tables import group_labels
from asap_tf.data.paste import Paste
from asap_tf.data.pipeline import Reader, Source, pair_reader, steps_per_epoch, training_batches
from asap_tf.inference.evaluate import Evaluation, evaluate
from asap_tf.layers.losses import OhemCrossEntropy
from asap_tf.models import create_model
from asap_tf.runtime import Segmenter
from asap_tf.runtime.keras_network import KerasNetwork
from asap_tf.saving import copy_matching, match_classes, save_model
from asap_tf.training import UNLABELED
from asap_tf.training.distillation import load_teacher, mean_output, with_teacher
from asap_tf.training.optimizers import build_optimizer
from asap_tf.training.precision import dtype_policy, resolve_precision
from asap_tf.training.recipe import Recipe
from asap_tf.training.sections import Data
from asap_tf.training.strategy import strategy_scope

if TYPE_CHECKING:
    import tensorflow as tf

LOGGER = logging.getLogger("asap_tf")


class SegmentationTask:
    """Everything that a recipe and a dataset say about what is learned; a `Trainer` learns it.

    Args:
        recipe: Recipe of the training.
        reports: Reports of `check_data`, with the datasets.
        hosts: Hosts that train together; None for this one alone.
        initialize: Whether to load the recipe's `model.weights`; False for a run that is resumed.

    Attributes:
        network: The network with its auxiliary heads, for crops of the recipe's size.
        model: The compiled model that takes the steps: `network`, and what compares it with its
            teacher if it has one.
        optimizer: Optimizer of `model`, without a loss scale.
        eval_model: The network that validation scores and `model.keras` holds: float32, any size,
            without auxiliary heads.
        datasets: Datasets of the recipe.
        classes: Classes of the first, which are the network's.
        sources: Training pairs of each dataset; of the first, those without masks last.
        skipped: Files that were found damaged while training, with `data.skip_bad`.

    Raises:
        UsageError: if recipe, dataset and weights do not fit together.
        AsapError: if weights cannot be loaded.
    """

    def __init__(
        self,
        recipe: Recipe,
        reports: Sequence[CheckReport],
        hosts: Hosts | None = None,
        initialize: bool = True,
    ):
        self.recipe = recipe
        self.datasets = [report.dataset for report in reports]
        self.classes = classes = self.datasets[0].classes
        self.hosts = hosts = hosts or Hosts()
        self.scope = strategy_scope(recipe.train.batch_size)
        self.skipped: set[Path] = set()
        tables = [
            relate(dataset.classes, classes, data.table)
            for data, dataset in zip(recipe.data, self.datasets, strict=True)
        ]
        groups, labels = group_labels(tables)
        self.sources = list(map(self._source, recipe.data, reports, labels))
        self.steps_per_epoch = steps_per_epoch(self.sources, recipe.train.batch_size)
        for name, table in zip(recipe.dataset_names, tables, strict=True):
            if not table.is_identity:
                LOGGER.info("%s:\n%s", name, table.summary())

        keras.utils.set_random_seed(recipe.train.seed)
        class_weights = resolve_class_weights(
            recipe.loss.class_weights,
            class_pixels(
                tables,
                [r.class_pixels[d.train_split] for d, r in zip(recipe.data, reports, strict=True)],
            ),
        )
        build = functools.partial(create_model, recipe.model.name, len(classes))
        options = recipe.model.options()
        weights = recipe.model.weights if initialize else None
        precision = hosts.broadcast(resolve_precision(recipe.train.precision))
        with self.scope(), dtype_policy(precision):
            steps = self.steps_per_epoch * recipe.train.epochs
            self.optimizer = build_optimizer(recipe.optimizer, steps)
            self.network = build(
                (*recipe.augment.crop, 3),
                weights=weights,
                aux_heads=True,
                **options,
            )
            matched = weights and match_classes(self.network, weights, [c.name for c in classes])
            if matched:
                LOGGER.info("%s: %s", weights, matched)
            self.model = self._compile(class_weights, groups)
        self.eval_model = build((None, None, 3), **options)
        self._segmenter = Segmenter(KerasNetwork(self.eval_model), classes, recipe.eval.size)

    def _source(self, data: Data, report: CheckReport, labels: np.ndarray) -> Source:
        dataset = report.dataset
        pairs = dataset.pairs(data.train_split) + dataset.splits.get(UNLABELED, ())
        encoding = RelabeledEncoding(dataset.encoding, labels)
        read = pair_reader(encoding, data.cache, self.skip if data.skip_bad else None)
        paste = paste_of(data, report, labels, read) if data.paste else None
        return Source(pairs, read, data.share, data.scale, paste)

    def _compile(
        self, class_weights: list[float] | None, groups: Sequence[Sequence[int]]
    ) -> keras.Model:
        """The network with its total loss, L = Lpred + alpha L1 + beta L2, and its teacher's."""
        network, settings, distill = self.network, self.recipe.loss, self.recipe.distill
        if settings.aux_stride > 1:
            network = network.with_aux_stride(settings.aux_stride)
        ohem = OhemCrossEntropy(
            settings.threshold, settings.min_kept, class_weights=class_weights, groups=groups
        )
        losses: dict[str, Any] = dict.fromkeys(network.output, ohem)
        loss_weights = {"logits": 1.0, "aux3": settings.aux3, "aux4": settings.aux4}
        if distill is not None:
            teacher = load_teacher(distill.teacher, self.datasets[0])
            network = with_teacher(network, teacher, distill.features > 0)
            weights = {"distilled": distill.weight, "features": distill.features}
            for name, weight in weights.items():
                if name in network.output:
                    losses[name], loss_weights[name] = mean_output, weight
        network.compile(self.optimizer, loss=losses, loss_weights=loss_weights)
        network.optimizer.build(network.trainable_variables)
        # Else the first step is traced twice, or on JAX a batch is read only to see its shape.
        frames = np.zeros((1, *self.recipe.augment.crop, 3), np.uint8)
        labels = self._labels_of_heads(network, frames[..., 0])
        network._symbolic_build(data_batch=(frames, labels))
        return network

    def _labels_of_heads(self, network: keras.Model, labels: Any) -> dict[str, Any]:
        """What each output is held against: all labels, or the one in the middle of each n x n."""
        n = self.recipe.loss.aux_stride
        coarse, aux = labels[:, n // 2 :: n, n // 2 :: n], self.network.aux_outputs
        return {name: coarse if name in aux else labels for name in network.output}

    def variables(self) -> dict[str, keras.Variable]:
        """All that steps change: weights, running statistics, optimizer state, averages."""
        groups = {"model": self.network.variables, "optimizer": self.model.optimizer.variables}
        if "features" in self.model.output:
            groups["features"] = self.model.get_layer("features").variables
        return {f"{group}/{i:04d}": v for group, vs in groups.items() for i, v in enumerate(vs)}

    def batches(self, start_step: int, stop_step: int) -> tf.data.Dataset:
        """Batches of the steps from `start_step` up to, not including, `stop_step`.

        Returns:
            Frames, uint8 RGB `(batch_size, *crop, 3)`, and for every head the train ids, uint8
            `(batch_size, *crop)`, or every `aux_stride`-th; of several hosts, the part of this one.
        """
        batches = training_batches(
            self.sources,
            Augmentation(**self.recipe.augment.model_dump()),
            self.recipe.train.batch_size,
            self.recipe.train.seed,
            start_step,
            stop_step,
            (self.hosts.index, self.hosts.count),
        )
        return batches.map(
            lambda frames, labels: (frames, self._labels_of_heads(self.model, labels))
        )

    def skip(self, error: BadFile) -> None:
        """Warns, once, of a file that was damaged under the training."""
        if error.path not in self.skipped:
            self.skipped.add(error.path)
            LOGGER.warning("skipped: %s", error)

    def sync_eval_model(self) -> None:
        """Brings the weights, averaged if the recipe says so, into `eval_model`."""
        # In the order of the optimizer's averages; a student's own order is another.
        variables = self.model.trainable_variables
        trained = [np.array(v) for v in variables]
        self.optimizer.apply_averages(variables)
        copy_matching(self.network, self.eval_model)
        for variable, value in zip(variables, trained, strict=True):
            variable.assign(value)

    def validate(self) -> list[Evaluation]:
        """Scores `eval_model`, brought up to date, on the validation split of each dataset.

        Raises:
            BadFile: if a file of the split cannot be used.
        """
        self.sync_eval_model()
        return evaluate_all(self._segmenter, self.recipe, self.datasets, self.hosts)

    def save(self, path: Path, step: int, evaluation: Evaluation) -> None:
        """Writes `eval_model` with its recipe, its step and its scores as a `.keras` file.

        Raises:
            Unwritable: if it cannot be written.
        """
        save_model(
            self.eval_model,
            path,
            self.classes,
            self.recipe.eval.size,
            recipe=self.recipe.model_dump(mode="json"),
            step=step,
            scores=evaluation.scores.to_dict(),
        )


def evaluate_all(
    segmenter: Segmenter,
    recipe: Recipe,
    datasets: Sequence[Dataset],
    hosts: Hosts | None = None,
) -> list[Evaluation]:
    """Scores a model on the validation split of each dataset of a recipe, by its label table.

    Raises:
        BadFile: if a file of a split cannot be used.
    """
    return [
        evaluate(segmenter, dataset, data.val_split, hosts=hosts, table=data.table)
        for data, dataset in zip(recipe.data, datasets, strict=True)
    ]


def paste_of(data: Data, report: CheckReport, labels: np.ndarray, read: Reader) -> Paste:
    """What a dataset's `paste` says, of its training pairs.

    Args:
        data: The dataset's section of the recipe.
        report: Report of its check.
        labels: Labels that are learned, by the dataset's train ids.
        read: Reader of its pairs, which gives these labels.

    Raises:
        UsageError: if one of the classes is not learned.
    """
    classes = report.dataset.classes
    labels = labels[: len(classes)]
    learned = {c.name: n for c, n in zip(classes, labels, strict=True) if n != IGNORE_LABEL}
    for name in data.paste:
        if name not in learned:
            raise UsageError(f"data.paste: {name!r} is not learned; {nearest(name, learned)}")
    rare = [int(learned[name]) for name in data.paste]
    pixels = report.pixels[data.train_split]
    of_rare = pixels[:, :-1] @ np.equal.outer(labels, rare)
    shares = of_rare / pixels.sum(axis=1, keepdims=True)
    return Paste(report.dataset.pairs(data.train_split), read, rare, shares)


def class_pixels(tables: Sequence[LabelTable], pixels: Sequence[np.ndarray]) -> np.ndarray:
    """Pixels of each class of a network in the masks of several datasets.

    Args:
        tables: Table of each dataset.
        pixels: Pixels of each class of each dataset; those of a group of classes are not counted.
    """
    total = np.zeros(len(tables[0].targets), np.int64)
    for table, counts in zip(tables, pixels, strict=True):
        for group, count in zip(table.groups, counts, strict=True):
            if len(group) == 1:
                total[group[0]] += count
    return total


def resolve_class_weights(
    wanted: str | tuple[float, ...] | None, pixels: np.ndarray
) -> list[float] | None:
    """One factor per class, or None.

    Args:
        wanted: The recipe's `loss.class_weights`.
        pixels: Pixels of each class in the training masks.

    Raises:
        UsageError: if a list has another length than there are classes.

    Examples:
        >>> resolve_class_weights("balanced", np.array([50, 50, 0]))
        [1.0, 1.0, 1.0]
    """
    if wanted is None:
        return None
    if wanted == "balanced":
        weights = 1 / np.log(1.1 + pixels / pixels.sum())
        # A class that never occurs counts neither in the loss nor in the mean.
        return np.where(pixels > 0, weights / weights[pixels > 0].mean(), 1.0).tolist()
    if len(wanted) != len(pixels):
        raise UsageError(
            f"loss.class_weights: {len(wanted)} factors, but the dataset has {len(pixels)} classes"
        )
    return [float(w) for w in wanted]
