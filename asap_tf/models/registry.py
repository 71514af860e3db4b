"""The networks by their names: each has a builder, in a file of that name in this folder."""

from __future__ import annotations

import functools
import importlib
import inspect
import pkgutil
import typing
from collections.abc import Callable
from pathlib import Path
from typing import Any

from asap_tf.core.errors import UsageError, nearest
from asap_tf.layers import SegmentationModel

Builder = Callable[..., SegmentationModel]

BUILDERS: dict[str, Builder] = {}
"""All that have been registered so far; see `builder_of`."""

COMMON_ARGUMENTS = ("num_classes", "input_shape", "weights", "aux_heads")


def register(name: str) -> Callable[[Builder], Builder]:
    """Decorates the builder of a network, which recipes and `create_model` then know by its name.

    The builder takes `num_classes`, `input_shape`, `weights` and `aux_heads` as `ASAPNet` does,
    and options of its own with annotations and defaults, against which recipes are validated.

    Args:
        name: Name of the network, of its Keras model and of its file.

    Examples:
        >>> @register("small")
        ... def Small(num_classes=19, input_shape=(512, 1024, 3), weights=None, aux_heads=False):
        ...     frames = input_frames(num_classes, input_shape)
    """

    def enter(builder: Builder) -> Builder:
        BUILDERS[name] = builder
        return builder

    return enter


def list_models() -> list[str]:
    """The names of all networks, in alphabetical order.

    Examples:
        >>> asap_tf.list_models()
        ['asap', 'asap_fast', 'bisenetv2', 'ddrnet_23_slim', 'df1_seg', 'dfanet_a', 'fasterseg',
         'ffnet_46ns', 'icnet', 'ldfnet', 'pidnet_s', 'stdc1', 'stdc2']
    """
    import_all()
    return sorted(BUILDERS)


def create_model(
    name: str,
    num_classes: int = 19,
    input_shape: tuple[int | None, int | None, int] = (512, 1024, 3),
    weights: str | Path | None = None,
    aux_heads: bool = False,
    **options: Any,
) -> SegmentationModel:
    """Builds the network of a name.

    Args:
        name: One of `list_models()`.
        num_classes: Number of classes.
        input_shape: `(H, W, 3)`, H and W multiples of 32 or None for any.
        weights: Initial weights, as of `ASAPNet`; None for random ones.
        aux_heads: Whether to add the two heads that only training needs.
        **options: Options of that network, such as `backbone` of `"asap"`; see its builder.

    Returns:
        A model from RGB frames 0..255 `(N, H, W, 3)`, uint8 or float, to float32 logits
        `(N, H, W, num_classes)`; with `aux_heads` to a dict of such tensors. Normalization is
        inside.

    Raises:
        UsageError: (a ValueError) for an unknown name or option, or a value that is not valid.
        AsapError: if the weights cannot be read or downloaded.

    Examples:
        >>> model = asap_tf.create_model("stdc1", num_classes=11, input_shape=(None, None, 3))
    """
    valid = options_of(name)
    for option in options:
        if option not in valid:
            hint = nearest(option, valid) if valid else "it has none"
            raise UsageError(f"{name} has no option {option!r}; {hint}")
    return builder_of(name)(
        num_classes=num_classes,
        input_shape=input_shape,
        weights=weights,
        aux_heads=aux_heads,
        **options,
    )


def builder_of(name: str) -> Builder:
    """The builder of a network.

    Raises:
        UsageError: if there is no network of that name.
    """
    names = list_models()
    if name not in names:
        raise UsageError(f"no network {name!r}; {nearest(name, names)}")
    return BUILDERS[name]


def options_of(name: str) -> dict[str, tuple[Any, Any]]:
    """Type and default of each option of a network, by the signature of its builder.

    Raises:
        UsageError: if there is no network of that name.

    Examples:
        >>> options_of("asap")["fuse_stride"]
        (typing.Literal[8, 4], 8)
    """
    builder = builder_of(name)
    types = typing.get_type_hints(builder, include_extras=True)
    return {
        option: (types.get(option, Any), parameter.default)
        for option, parameter in inspect.signature(builder).parameters.items()
        if option not in COMMON_ARGUMENTS
    }


@functools.cache
def import_all() -> None:
    """Imports every file of this folder, so that all builders are registered."""
    folder = importlib.import_module("asap_tf.models").__path__
    for module in pkgutil.iter_modules(folder, "asap_tf.models."):
        importlib.import_module(module.name)
