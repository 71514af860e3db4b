"""A recipe: everything a training depends on, as typed and validated data."""

from __future__ import annotations

import functools
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import pydantic
import yaml
from pydantic import BaseModel, ConfigDict, Field, SerializeAsAny

from asap_tf.core.errors import UsageError, nearest
from asap_tf.core.keras_backend import import_keras

Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
Share = Annotated[float, Field(gt=0, le=1)]
Count = Annotated[int, Field(gt=0)]
Side = Annotated[int, Field(gt=0, multiple_of=32)]


class Section(BaseModel):
    """Base of all sections: an unknown field is an error, a value never changes afterwards."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Data(Section):
    """Where frames and masks come from.

    Attributes:
        kind: Layout of the folder; None recognizes it.
        root: The folder; usually given by `--data`.
        annotations: Cityscapes only: fine or coarse masks.
        train_split: Split to learn from.
        val_split: Split to validate on.
        holdout: Prefix of the names of frames that are kept from training, and that validation
            scores in place of `val_split`: a drive, to see how the next one will be. Taken from
            both splits.
        skip_bad: Skip damaged files, and list them, instead of stopping at the first.
        cache: Keep decoded frames in memory; for datasets that fit.
    """

    kind: Literal["cityscapes", "camvid", "bdd100k", "folder"] | None = None
    root: str | None = None
    annotations: Literal["fine", "coarse"] = "fine"
    train_split: str = "train"
    val_split: str = "val"
    holdout: str | None = None
    skip_bad: bool = False
    cache: bool = False


class Model(Section):
    """The network: its name, its initial weights, and the options that its builder takes.

    What is valid follows from the signature of the builder; see `model_section`.

    Attributes:
        name: One of `asap_tf.list_models()`.
        weights: See `asap_tf.ASAPNet`. `imagenet` means random ones for a network without a
            choice of backbones, of which none are published.
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


class Loss(Section):
    """OHEM cross entropy on the output and both auxiliary heads (paper, Eq. 5).

    Attributes:
        threshold: See `asap_tf.OhemCrossEntropy`.
        min_kept: See `asap_tf.OhemCrossEntropy`.
        aux3: alpha, the weight of the head on P3.
        aux4: beta, the weight of the head on P4.
        class_weights: One factor per class, or `balanced`, which takes 1 / log(1.1 + share of the
            class in the training masks), scaled to mean 1.
    """

    threshold: Share = 0.7
    min_kept: Share = 1 / 16
    aux3: NotNegative = 1.0
    aux4: NotNegative = 1.0
    class_weights: Literal["balanced"] | tuple[NotNegative, ...] | None = None


class Optimizer(Section):
    """How weights change.

    Attributes:
        name: `sgd` couples weight decay into the gradient, as the paper's framework does; `adamw`
            decouples it. Neither decays norms and biases.
        learning_rate: What warm-up and decay are factors of.
        momentum: For `sgd`.
        weight_decay: 1e-4 in the paper.
        power: Of the polynomial decay to 0.
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
        weight: Of the divergence from it, beside 1 for the loss of the masks.
        features: Of the distance between the backbones' maps; 0 for none.
        frames: Folders of frames without masks, that are learned from by its answers alone.
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
        seed: Of weights, order and augmentation.
        precision: `auto` is float16 on a GPU, bfloat16 on a CPU that gains by it (AMX, or AMD's
            AVX512-BF16), else float32.
        validate_every: Epochs between validations; the last epoch is always validated.
    """

    epochs: Count = 100
    batch_size: Count = 4
    seed: Annotated[int, Field(ge=0)] = 0
    precision: Literal["auto", "float32", "mixed_bfloat16", "mixed_float16"] = "auto"
    validate_every: Count = 1


class Eval(Section):
    """How validation runs.

    Attributes:
        size: `(H, W)` frames are brought to for the network; None keeps their own. Scores are
            taken at the masks' size in any case.
    """

    size: tuple[Side, Side] | None = None


class Recipe(Section):
    """A whole training; sections left out take their defaults, which are the paper's."""

    name: str = Field(min_length=1)
    data: Data = Data()
    model: SerializeAsAny[Model] = Field(default_factory=lambda: Model.model_validate({}))
    augment: Augment
    loss: Loss = Loss()
    optimizer: Optimizer = Optimizer()
    distill: Distill | None = None
    train: Train = Train()
    eval: Eval = Eval()

    def to_yaml(self) -> str:
        """The recipe with every default spelled out."""
        return yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False)


def load_recipe(path: str | Path, overrides: tuple[str, ...] | list[str] = ()) -> Recipe:
    """Reads and validates a recipe.

    Args:
        path: A YAML file, or the name of a recipe that ships with asap-tf.
        overrides: `"section.field=value"`, the value as YAML.

    Returns:
        The recipe.

    Raises:
        UsageError: with every wrong field at once: its name, the value, what would be valid.

    Example:
        >>> load_recipe("camvid_resnet18", ["train.epochs=1"]).train.epochs
        1
    """
    file = recipe_file(path)
    try:
        values = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise UsageError(f"{file}: cannot be read as YAML: {one_line(error)}") from error
    if not isinstance(values, dict):
        raise UsageError(f"{file}: a recipe is a mapping of sections, got {type(values).__name__}")
    for override in overrides:
        apply_override(values, override)
    return validate(values, str(file))


def validate(values: dict[str, Any], origin: str) -> Recipe:
    """A recipe from plain values; `origin` opens the error message.

    Raises:
        UsageError: with every wrong field at once.
    """
    try:
        return Recipe.model_validate(upgraded(values))
    except pydantic.ValidationError as error:
        problems = [explain(e, values) for e in error.errors(include_url=False)]
        raise UsageError(f"{origin}: " + "; ".join(dict.fromkeys(problems))) from error


OLD_FIELDS = {"data.leave_out": "holdout", "train.unwritable": None}
"""Fields of earlier versions, each with its name now, or None where it is gone."""


def upgraded(values: dict[str, Any]) -> dict[str, Any]:
    """A recipe's plain values with the fields of earlier versions under their names of now."""
    for old, new in OLD_FIELDS.items():
        section, field = old.split(".")
        fields = values.get(section)
        if isinstance(fields, dict) and field in fields:
            kept = {name: value for name, value in fields.items() if name != field}
            values = {**values, section: {**kept, new: fields[field]} if new else kept}
    return values


def explain(error: Any, values: dict[str, Any]) -> str:
    """One problem that pydantic found in `values`: field, value received, what would be valid."""
    # Where a field takes several types, pydantic adds the one it tried, such as "tuple[...]".
    *outer, name = error["loc"]
    location = [str(part) for part in outer if "[" not in str(part)]
    if error["type"] == "extra_forbidden":
        field = ".".join([*location, one_line(name)])
        return f"{field}: no such field; {nearest(name, fields_of(location, values))}"
    if "[" not in str(name):
        location.append(str(name))
    field = ".".join(location)
    if error["type"] == "missing":
        return f"{field}: missing"
    if error["type"] == "literal_error":
        valid = [v.strip("'") for v in error["ctx"]["expected"].replace(" or ", ", ").split(", ")]
        return f"{field}={error['input']!r}: {nearest(error['input'], valid)}"
    return f"{field}={error['input']!r}: {error['msg'][0].lower()}{error['msg'][1:]}"


def fields_of(location: list[str], values: dict[str, Any]) -> list[str]:
    """Names of the fields of the section at `location` of a recipe's values."""
    if location == ["model"]:
        return list(model_section(values["model"].get("name")).model_fields)
    section: Any = Recipe
    for name in location:
        annotation = section.model_fields[name].annotation
        # A section that may be left out is a union with None.
        section = next(iter(get_args(annotation)), annotation)
    return list(section.model_fields)


def apply_override(values: dict[str, Any], override: str) -> None:
    """Puts one `section.field=value` into `values`.

    Raises:
        UsageError: if it is not of that form.
    """
    key, equals, text = override.partition("=")
    override = one_line(override)
    parts = key.strip().split(".")
    if not equals or not all(parts):
        raise UsageError(f"`overrides` {override}: want section.field=value, as in train.epochs=10")
    try:
        value = yaml.safe_load(text)
    except (ValueError, yaml.YAMLError) as error:
        raise UsageError(f"`overrides` {override}: value is not YAML: {one_line(error)}") from error
    for part in parts[:-1]:
        values = values.setdefault(part, {})
        if not isinstance(values, dict):
            raise UsageError(f"`overrides` {override}: '{part}' is a field, not a section")
    values[parts[-1]] = value


def recipe_file(path: str | Path) -> Path:
    """The file that a recipe's path or name stands for.

    Raises:
        UsageError: if there is none, with the names that ship.
    """
    file = Path(path)
    if file.is_file():
        return file
    shipped = {Path(str(f)).stem: Path(str(f)) for f in shipped_recipes()}
    if str(path) in shipped:
        return shipped[str(path)]
    raise UsageError(f"{path}: no such recipe; {nearest(file.stem, shipped)}")


def shipped_recipes() -> list[Any]:
    """The recipe files inside the package."""
    folder = resources.files("asap_tf.recipes")
    return [f for f in folder.iterdir() if f.name.endswith(".yaml")]


def one_line(value: object) -> str:
    """An error's or an option's text without line breaks."""
    return " ".join(str(value).split())
