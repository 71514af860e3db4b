"""Packages that only some commands need."""

from __future__ import annotations

import importlib
from types import ModuleType

from asap_tf.core.errors import AsapError, first_line


def require(module: str, extra: str) -> ModuleType:
    """Imports a package that one of the extras brings.

    Args:
        module: Its import name, dotted or not.
        extra: The extra in `setup.cfg` that installs it.

    Raises:
        AsapError: if it is not installed, naming the command that does it, or cannot be imported.

    Examples:
        >>> onnxruntime = require("onnxruntime", "onnx")
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise AsapError(
            f"{error.name or module} is not installed; get it by: pip install 'asap-tf[{extra}]'"
        ) from error
    except ImportError as error:
        raise AsapError(
            f"{module} is installed but cannot be imported: {first_line(error)}"
        ) from error
