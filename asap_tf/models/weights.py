"""Weights from elsewhere: ImageNet's ResNet18 in three guises, and earlier runs."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np

from asap_tf.errors import AsapError, UsageError, first_line

PREFIX = "backbone_"

# What torch calls the variables that Keras keeps in this order.
CONV_VARIABLES = ("weight",)
NORM_VARIABLES = ("weight", "bias", "running_mean", "running_var")


@dataclass(frozen=True)
class Transfer:
    """Names of the layers that got their weights from another model, and of those that did not."""

    loaded: tuple[str, ...]
    fresh: tuple[str, ...]

    def __str__(self) -> str:
        fresh = f"; left as initialised: {', '.join(self.fresh)}" if self.fresh else ""
        return f"{len(self.loaded)} layers loaded{fresh}"


def load_weights(model: keras.Model, source: str | Path) -> Transfer:
    """Loads what fits of `source` into a freshly built model.

    Args:
        model: A network of this package.
        source: `"imagenet"`; a torchvision or timm ResNet18 file (`.pth`, `.safetensors`); a run
            folder or a `.keras` file.

    Returns:
        The layers that were loaded and those that were not.

    Raises:
        UsageError: if `source` is none of these.
        AsapError: if it cannot be read or does not fit.
    """
    path = Path(source)
    if str(source) == "imagenet":
        names = {layer.name for layer in model.layers}
        preset = "resnet_vd_18_imagenet" if f"{PREFIX}conv3" in names else "resnet_18_imagenet"
        return load_torch_names(model, imagenet_tensors(preset), "ImageNet weights")
    if not path.exists():
        raise UsageError(
            f"weights={str(source)!r}: no such file or run folder; give 'imagenet', a .pth or "
            ".safetensors file of ResNet18, a .keras file or a run folder"
        )
    if path.suffix in (".pth", ".safetensors"):
        return load_torch_names(model, read_torch_file(path), str(path))

    from asap_tf.runtime import load_keras_model

    return copy_matching(load_keras_model(path), model)


def copy_matching(source: keras.Model, target: keras.Model) -> Transfer:
    """Copies every layer of `target` that `source` has under the same name with the same shapes.

    Heads for another number of classes, or heads that only one of the two has, stay as they are.

    Args:
        source: Where the values come from.
        target: Changed in place.

    Returns:
        The layers copied and those left.
    """
    available = {layer.name: layer for layer in source.layers if layer.weights}
    loaded, fresh = [], []
    for layer in target.layers:
        if not layer.weights:
            continue
        twin = available.get(layer.name)
        shapes = [tuple(w.shape) for w in layer.weights]
        if twin is not None and shapes == [tuple(w.shape) for w in twin.weights]:
            layer.set_weights(twin.get_weights())
            loaded.append(layer.name)
        else:
            fresh.append(layer.name)
    return Transfer(tuple(loaded), tuple(fresh))


def load_torch_names(model: keras.Model, tensors: dict[str, np.ndarray], origin: str) -> Transfer:
    """Fills the backbone from tensors named and laid out as in torchvision.

    Args:
        model: A network whose backbone layers carry torchvision's names behind `backbone_`.
        tensors: Arrays by torch name, convolutions as `(out, in, h, w)`.
        origin: What to call the tensors in an error.

    Raises:
        AsapError: if one is missing or has another shape.
    """
    backbone = [layer for layer in model.layers if layer.name.startswith(PREFIX) and layer.weights]
    by_layer_name: dict[str, dict[str, np.ndarray]] = {}
    for key, value in tensors.items():
        module, _, variable = key.rpartition(".")
        by_layer_name.setdefault(PREFIX + module.replace(".", "_"), {})[variable] = value
    for layer in backbone:
        found = by_layer_name.get(layer.name, {})
        variables = CONV_VARIABLES if len(layer.weights) == 1 else NORM_VARIABLES
        values = [found[v] for v in variables if v in found]
        values = [v.transpose(2, 3, 1, 0) if v.ndim == 4 else v for v in values]
        wanted = [tuple(w.shape) for w in layer.weights]
        if [v.shape for v in values] != wanted:
            raise AsapError(
                f"{origin}: not a ResNet18 as torchvision or timm store it: "
                f"{layer.name.removeprefix(PREFIX)} wants shapes {wanted}, "
                f"has {[v.shape for v in values]}"
            )
        layer.set_weights(values)
    names = {layer.name for layer in backbone}
    rest = [layer.name for layer in model.layers if layer.weights and layer.name not in names]
    return Transfer(tuple(sorted(names)), tuple(rest))


def read_torch_file(path: Path) -> dict[str, np.ndarray]:
    """Arrays by torch name of a `.safetensors` (no torch needed) or `.pth` file.

    A `.pth` file is read with `weights_only=True`: nothing in it is ever run.

    Raises:
        AsapError: if the file is damaged, or is a `.pth` and torch is not installed.
    """
    try:
        if path.suffix == ".safetensors":
            from safetensors.numpy import load_file

            return load_file(path)
        try:
            import torch
        except ImportError:
            raise AsapError(
                f"{path}: reading .pth needs PyTorch (pip install torch), or give the same "
                "weights as .safetensors"
            ) from None
        state = torch.load(path, map_location="cpu", weights_only=True)
        return {name: tensor.numpy() for name, tensor in state.items()}
    except AsapError:
        raise
    except Exception as error:
        raise AsapError(
            f"{path}: cannot be read as {path.suffix} weights: {first_line(error)}"
        ) from error


def imagenet_tensors(preset: str) -> dict[str, np.ndarray]:
    """A ResNet18's ImageNet weights through keras-hub, by torchvision's names.

    Args:
        preset: keras-hub's name of them.

    Raises:
        AsapError: if they can neither be found in the local cache nor downloaded.
    """
    try:
        import keras_hub

        backbone = keras_hub.models.Backbone.from_preset(preset)
    except Exception as error:
        raise AsapError(
            f"weights='imagenet': keras-hub could not get '{preset}' "
            f"({type(error).__name__}). Either let this machine reach the Kaggle hub once (the "
            "file stays in keras-hub's cache), or download torchvision's or timm's ResNet18 "
            "elsewhere and give its path: weights=PATH.safetensors"
        ) from error
    return keras_hub_tensors(backbone)


def keras_hub_tensors(backbone: keras.Model) -> dict[str, np.ndarray]:
    """The weights of a keras-hub ResNet18 backbone, by torchvision's names and layout."""
    tensors = {}
    for layer in backbone.layers:
        if not layer.weights:
            continue
        module = torch_name(layer.name)
        variables = CONV_VARIABLES if len(layer.weights) == 1 else NORM_VARIABLES
        for variable, value in zip(variables, layer.get_weights(), strict=True):
            value = value.transpose(3, 2, 0, 1) if value.ndim == 4 else value
            tensors[f"{module}.{variable}"] = value
    return tensors


def torch_name(keras_hub_name: str) -> str:
    """`stack1_block0_0_conv` (keras-hub) to `layer2.0.downsample.0` (torchvision)."""
    if stem := re.fullmatch(r"conv(\d)_(conv|bn)", keras_hub_name):
        return stem[2] + stem[1]
    match = re.fullmatch(r"stack(\d)_block(\d)_(\d)_(conv|bn)", keras_hub_name)
    if match is None:
        raise AsapError(f"keras-hub layer '{keras_hub_name}' is not one of a ResNet18")
    stack, block, index, kind = match.groups()
    if index == "0":
        part = "downsample." + ("0" if kind == "conv" else "1")
    else:
        part = kind + index
    return f"layer{int(stack) + 1}.{block}.{part}"
