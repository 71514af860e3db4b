"""Initial weights from elsewhere: a backbone's, or those of a whole network of an earlier run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from asap_tf.core.errors import AsapError, UsageError
from asap_tf.saving.imagenet import imagenet_tensors
from asap_tf.saving.keras_file import load_keras_model, model_file
from asap_tf.saving.location import locate
from asap_tf.saving.metadata import classes_of, read_metadata
from asap_tf.saving.presets import preset_files
from asap_tf.saving.torch_file import CONV_VARIABLES, NORM_VARIABLES, read_torch_file
from asap_tf.saving.widen import widened

if TYPE_CHECKING:
    import keras

PREFIX = "backbone_"
HEAD_SUFFIXES = ("_classes", "_classes_bn")
"""Ends of the names of the convolutions that give a number for each class, and of their norms."""

TORCH_SUFFIXES = (".pth", ".safetensors")


@dataclass(frozen=True)
class Transfer:
    """Names of the layers that got their weights from another model, and of those that did not."""

    loaded: tuple[str, ...]
    fresh: tuple[str, ...]

    def __str__(self) -> str:
        fresh = f"; left as initialized: {', '.join(self.fresh)}" if self.fresh else ""
        return f"{len(self.loaded)} layers loaded{fresh}"


def load_weights(model: keras.Model, source: str | Path, backbone: str | None = None) -> Transfer:
    """Loads what fits of `source` into a freshly built model.

    Args:
        model: Network of this package.
        source: Origin of the weights: `"imagenet"`; a file of the backbone in PyTorch's layout
            (`.pth`, `.safetensors`); a preset's name, a run folder or a `.keras` file.
        backbone: Name of the backbone, for `"imagenet"`; None for one without ImageNet weights.

    Returns:
        The layers that were loaded and those that were not.

    Raises:
        UsageError: if `source` is none of these.
        AsapError: if it cannot be read or does not fit.
    """
    if str(source) == "imagenet":
        if backbone is None:
            raise UsageError(f"`weights`='imagenet': there are none for {model.name}")
        return load_torch_names(model, imagenet_tensors(backbone), "ImageNet weights")
    path = locate(source)
    if not path.exists():
        raise UsageError(
            f"`weights`={str(source)!r}: no such file or run folder; give 'imagenet', a .pth or "
            ".safetensors file of the backbone, a .keras file, a run folder or a preset "
            f"({', '.join(preset_files())})"
        )
    if path.suffix in TORCH_SUFFIXES:
        return load_torch_names(model, read_torch_file(path), str(path))
    return copy_matching(load_keras_model(path), model)


def copy_matching(source: keras.Model, target: keras.Model) -> Transfer:
    """Copies every layer of `target` that `source` has under the same name with the same shapes.

    A backbone of more channels than its twin begins with the same function (`widened`). Heads for
    another number of classes, or heads that only one of the two has, stay as they are.

    Args:
        source: Model that values are copied from.
        target: Model that they are copied to, in place.

    Returns:
        The layers copied and those left.
    """
    available = {layer.name: layer for layer in source.layers if layer.weights}
    rng = np.random.default_rng(0)
    loaded, fresh = [], []
    for layer in target.layers:
        if not layer.weights:
            continue
        twin = available.get(layer.name)
        values = None if twin is None else _values_for(layer, twin, rng)
        if values is None:
            fresh.append(layer.name)
        else:
            layer.set_weights(values)
            loaded.append(layer.name)
    return Transfer(tuple(loaded), tuple(fresh))


def _values_for(
    layer: keras.layers.Layer, twin: keras.layers.Layer, rng: np.random.Generator
) -> list[np.ndarray] | None:
    """A twin's weights as a layer can take them; None if it cannot."""
    shapes, own = ([tuple(w.shape) for w in one.weights] for one in (layer, twin))
    if shapes == own:
        return twin.get_weights()
    # Elsewhere than in a backbone, more channels are those of another module or of more classes.
    of_width = layer.name.startswith(PREFIX) or [s[-1] for s in shapes] == [s[-1] for s in own]
    return widened(twin, shapes, rng) if of_width else None


def match_classes(model: keras.Model, source: str | Path, names: Sequence[str]) -> str:
    """Brings the heads that `load_weights` has copied into the order of other classes' names.

    Args:
        model: Network that was loaded from `source`, in place.
        source: As of `load_weights`.
        names: Names of the network's classes.

    Returns:
        What was done, for people; empty if nothing was: for weights of a backbone alone, of as many
        classes as these in the same order, or of another number, whose heads were not loaded.
    """
    from keras import layers

    if str(source) == "imagenet" or Path(source).suffix in TORCH_SUFFIXES:
        return ""
    known = [c.name for c in classes_of(read_metadata(model_file(source)))]
    if len(known) != len(names) or known == list(names):
        return ""
    places = {name: i for i, name in enumerate(known)}
    columns = [places.get(name) for name in names]
    for layer in model.layers:
        if layer.name.endswith(HEAD_SUFFIXES):
            transposed = isinstance(layer, layers.Conv2DTranspose)
            weights = zip(layer.get_weights(), _initial(layer), strict=True)
            layer.set_weights(
                [
                    # A transposed kernel's channels of the output come before those of the input.
                    _arranged(old, new, columns, -2 if transposed and old.ndim > 1 else -1)
                    for old, new in weights
                ]
            )
    fresh = [name for name in names if name not in places]
    taken = f"{len(names) - len(fresh)} classes taken by their names"
    return f"{taken}; left as initialized: {', '.join(fresh)}" if fresh else taken


def _arranged(
    old: np.ndarray, new: np.ndarray, columns: Sequence[int | None], axis: int
) -> np.ndarray:
    """What `old` has along an axis in another order; from `new` where there is none."""
    chosen = [
        np.take(new, i, axis) if c is None else np.take(old, c, axis) for i, c in enumerate(columns)
    ]
    return np.stack(chosen, axis)


def _initial(layer: keras.layers.Layer) -> list[np.ndarray]:
    """Weights of a layer as its initializers make them."""
    fresh = type(layer).from_config(layer.get_config())
    fresh.build(layer.input.shape)
    return fresh.get_weights()


def load_torch_names(model: keras.Model, tensors: dict[str, np.ndarray], origin: str) -> Transfer:
    """Fills the backbone from tensors named and laid out as PyTorch's networks have them.

    Args:
        model: Network whose backbone layers have these names after `backbone_`, with `_` for
            each dot and without the `_` that an attribute may begin with.
        tensors: Arrays by PyTorch's names, convolutions as `(out, in, h, w)`.
        origin: Name of the tensors' source, for an error.

    Raises:
        AsapError: if one is missing or has another shape.
    """
    from keras import layers

    backbone = [layer for layer in model.layers if layer.name.startswith(PREFIX) and layer.weights]
    by_layer_name: dict[str, dict[str, np.ndarray]] = {}
    for key, value in tensors.items():
        module, _, variable = key.rpartition(".")
        name = PREFIX + "_".join(part.lstrip("_") for part in module.split("."))
        by_layer_name.setdefault(name, {})[variable] = value
    for layer in backbone:
        found = by_layer_name.get(layer.name, {})
        variables = CONV_VARIABLES if len(layer.weights) == 1 else NORM_VARIABLES
        values = [found[v] for v in variables if v in found]
        # A depthwise kernel's channels are its input's, in Keras as in PyTorch's first axis.
        axes = (2, 3, 0, 1) if isinstance(layer, layers.DepthwiseConv2D) else (2, 3, 1, 0)
        values = [v.transpose(axes) if v.ndim == 4 else v for v in values]
        wanted = [tuple(w.shape) for w in layer.weights]
        if [v.shape for v in values] != wanted:
            raise AsapError(
                f"{origin}: not weights of this backbone: "
                f"{layer.name.removeprefix(PREFIX)} wants shapes {wanted}, "
                f"has {[v.shape for v in values]}"
            )
        layer.set_weights(values)
    names = {layer.name for layer in backbone}
    rest = [layer.name for layer in model.layers if layer.weights and layer.name not in names]
    return Transfer(tuple(sorted(names)), tuple(rest))
