"""The type of tensors in annotations."""

from typing import Any

Tensor = Any
"""A Keras tensor, symbolic or of any backend."""
