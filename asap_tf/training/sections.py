"""The sections of a recipe: every field with its type, its default and what it means."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Annotated, Any, Literal

import pydantic
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from asap_tf.core.keras_backend import import_keras
from asap_tf.data.label_tables import load_table

Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
Share = Annotated[float, Field(gt=0, le=1)]
Count = Annotated[int, Field(gt=0)]
Side = Annotated[int, Field(gt=0, multiple_of=32)]


class Section(BaseModel):
    """Base of all sections: an unknown field is an error, a value never changes afterwards."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Data(Section):
    """A dataset: where frames and masks come from, and what they are among others.

    A network learns the classes of the first; the others' are related to them by table or name.

    Attributes:
        kind: Layout of the folder; None recognizes it.
        root: Folder of the dataset; usually given by `--data`.
        annotations: Fine or coarse masks of Cityscapes.
        train_split: Split to learn from.
        val_split: Split to validate on.
        holdout: Prefix of the names of frames that are kept from training, and that validation
            scores in place of `val_split`: a drive, to see how the next one will be. Taken from
            both splits.
        skip_bad: Whether to skip damaged files, and list them, instead of stopping at the first.
        cache: Whether to keep decoded frames in memory; for datasets that fit.
        share: Share of the frames of a batch, relative to those of the other datasets.
        scale: Factor of `augment.scales`, for frames of another resolution than the others'.
        table: Label table from the dataset's classes to the first's: its name, file or content;
            None relates classes of the same name.
        paste: Classes of the dataset whose pixels are pasted into half of its training frames, from
            frames drawn for them: things that are rare. See `asap_tf.data.paste.Paste`.
    """

    kind: Literal["cityscapes", "camvid", "bdd100k", "folder"] | None = None
    root: str | None = None
    annotations: Literal["fine", "coarse"] = "fine"
    train_split: str = "train"
    val_split: str = "val"
    holdout: str | None = None
    skip_bad: bool = False
    cache: bool = False
    share: Positive = 1.0
    scale: Positive = 1.0
    table: Annotated[
        dict[str, tuple[str, ...]] | None,
        BeforeValidator(lambda table: load_table(table) if isinstance(table, str) else table),
    ] = None
    paste: tuple[str, ...] = ()


class Model(Section):
    """The network: its name, its initial weights, and the options that its builder takes.

    What is valid follows from the signature of the builder; see `model_section`.

    Attributes:
        name: One of `asap_tf.list_models()`.
        weights: Initial weights, as of `asap_tf.ASAPNet`. `imagenet` means random ones for a
            network without a choice of backbones, of which none are published.
    """

    name: str = "asap"
    weights: str | None = None

    @pydantic.model_validator(mode="wrap")
    @classmethod
    def _with_its_options(cls, values: Any, validate: Callable[[Any], Model]) -> Model:
        if cls is not Model or not isinstance(values, dict):
            return validate(values)
        name = values.get("name", "asap")
        section = model_section(name)
        if name != "asap":
            # Recipes of earlier versions spell out ASAP's options for every network.
            old = {k: f.default for k, f in model_section("asap").model_fields.items()}
            fields = section.model_fields
            values = {k: v for k, v in values.items() if k in fields or k not in old or v != old[k]}
        if values.get("weights") == "imagenet" and "backbone" not in section.model_fields:
            values = {**values, "weights": None}
        return section.model_validate(values)

    def options(self) -> dict[str, Any]:
        """What the builder of the network takes beside classes, size, weights and heads."""
        return self.model_dump(exclude={"name", "weights"})


def model_section(name: object) -> type[Model]:
    """The section of a network: a field for each option of its builder; of `asap` if unknown."""
    import_keras()
    from asap_tf.models import registry

    names = registry.list_models()
    name = name if name in names else "asap"
    return section_of(tuple(names), tuple(registry.options_of(name).items()))


@functools.cache
def section_of(names: tuple[str, ...], options: tuple[tuple[str, Any], ...]) -> type[Model]:
    """A section with the names of all networks, and fields by name, type and default."""
    fields: dict[str, Any] = {"name": (Literal[names], "asap"), **dict(options)}
    return pydantic.create_model("Model", __base__=Model, **fields)


class Augment(Section):
    """What happens to a training frame; see `asap_tf.data.augment.Augmentation`."""

    crop: tuple[Side, Side]
    scales: tuple[Positive, ...] = Field((0.75, 1.0, 1.5, 1.75, 2.0), min_length=1)
    flip: bool = True
    brightness: NotNegative = 0.0
    contrast: NotNegative = 0.0
    saturation: NotNegative = 0.0
    hue: Annotated[float, Field(ge=0, le=0.5)] = 0.0
    blur: NotNegative = 0.0
    noise: NotNegative = 0.0
    jpeg: Annotated[float, Field(ge=0, le=99)] = 0.0


class Loss(Section):
    """OHEM cross entropy on the output and both auxiliary heads (paper, Eq. 5).

    Attributes:
        threshold: Threshold of `asap_tf.OhemCrossEntropy`.
        min_kept: Share of pixels that it keeps at least.
        aux3: Weight of the head on P3, the paper's alpha.
        aux4: Weight of the head on P4, the paper's beta.
        aux_stride: Stride of both heads' logits, held against the label in the middle of each
            n x n pixels: 1 is the paper's; 4 saves a quarter of a step at half width.
        class_weights: One factor per class, or `balanced`, which takes 1 / log(1.1 + share of the
            class in the training masks), scaled to mean 1.
    """

    threshold: Share = 0.7
    min_kept: Share = 1 / 16
    aux3: NotNegative = 1.0
    aux4: NotNegative = 1.0
    aux_stride: Literal[1, 2, 4, 8] = 1
    class_weights: Literal["balanced"] | tuple[NotNegative, ...] | None = None


class Optimizer(Section):
    """How weights change.

    Attributes:
        name: `sgd` couples weight decay into the gradient, as the paper's framework does; `adamw`
            decouples it. Neither decays norms and biases.
        learning_rate: Learning rate that warm-up and decay multiply by 0..1.
        momentum: Momentum of `sgd`.
        weight_decay: Factor of the weights; 1e-4 in the paper.
        power: Exponent of the polynomial decay to 0.
        warmup_steps: Steps of linear growth to `learning_rate`.
        clip_norm: Largest global norm of a gradient, or None.
        ema: Momentum of the moving average of the weights that validation and `model.keras` use,
            or None.
    """

    name: Literal["sgd", "adamw"] = "sgd"
    learning_rate: Positive = 0.01
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9
    weight_decay: NotNegative = 1e-4
    power: Positive = 0.9
    warmup_steps: Annotated[int, Field(ge=0)] = 0
    clip_norm: Positive | None = None
    ema: Annotated[float, Field(gt=0, lt=1)] | None = None


class Distill(Section):
    """Learning from a teacher's answers on the same augmented frames, void pixels included.

    Attributes:
        teacher: Run folder or `.keras` file of a model of the same classes.
        weight: Weight of the divergence from its logits, beside 1 for the loss of the masks.
        features: Weight of the distance between the backbones' maps; 0 for none.
        frames: Folders of frames without masks, learned from by its answers alone.
    """

    teacher: str
    weight: Positive = 1.0
    features: NotNegative = 0.0
    frames: tuple[str, ...] = ()


class Train(Section):
    """How long, how much at a time, and how exactly.

    Attributes:
        epochs: Passes over the training split.
        batch_size: Frames per step, over all GPUs together.
        seed: Seed of weights, order and augmentation.
        precision: `auto` is float16 on a GPU, bfloat16 on a CPU that gains by it (AMX, or AMD's
            AVX512-BF16), else float32.
        validate_every: Epochs between validations; the last epoch is always validated.
        loggers: Where losses and scores go beside the run's own log: `tensorboard`, into the run
            folder; `mlflow` and `wandb`, each an extra, see `asap_tf.training.loggers`.
    """

    epochs: Count = 100
    batch_size: Count = 4
    seed: Annotated[int, Field(ge=0)] = 0
    precision: Literal["auto", "float32", "mixed_bfloat16", "mixed_float16"] = "auto"
    validate_every: Count = 1
    loggers: tuple[Literal["tensorboard", "mlflow", "wandb"], ...] = ("tensorboard",)


class Eval(Section):
    """How validation runs.

    Attributes:
        size: `(H, W)` that frames are resized to for the network, or the length of their longer
            side, which keeps their aspect; None keeps their own. Scores are taken at the masks'
            size in any case.
    """

    size: Side | tuple[Side, Side] | None = None
